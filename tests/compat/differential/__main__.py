"""``python -m tests.compat.differential --steps 20000 --seed 7``: compare zetcd with etcd 3.5 at length."""

import argparse
import contextlib
import functools
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.compat.differential.draw import Draw
from tests.compat.differential.draw_streams import DrawStreams
from tests.compat.differential.runner import explore, shrink
from tests.compat.differential.sides import Side, etcd_side, zetcd_side


@contextlib.contextmanager
def fresh(ours: str, through: str) -> Iterator[tuple[Side, Side]]:
    """Real etcd 3.5 and, beside it, what is under test (zetcd, or for a look at the oracle itself, etcd 3.4)."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        grpc = through == "grpc"
        bare = ours == "zetcd" and through == "zeromq"
        side = zetcd_side(directory / "ours") if bare else etcd_side(directory / "ours", ours, grpc=grpc)
        with etcd_side(directory / "oracle", grpc=grpc) as oracle, side as other:
            yield oracle, other


def main() -> None:
    """Flags in; exit code 1 and the shortest sequence found where the sides differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--run", type=int, default=4_000, help="steps on one pair of fresh servers")
    parser.add_argument("--seed", type=int, default=0, help="0 draws one")
    parser.add_argument(
        "--through",
        choices=("zeromq", "grpc", "json"),
        default="zeromq",
        help="how zetcd is reached",
    )
    parser.add_argument("--ours", default="zetcd", help="zetcd, or 3.4 for Debian's etcd")
    flags = parser.parse_args()
    streams = functools.partial(DrawStreams, grpc=flags.through == "grpc")
    drawing = Draw if flags.through == "zeromq" else streams
    seed = flags.seed or secrets.randbelow(2**31)
    for number in range(-(-flags.steps // flags.run)):
        count = min(flags.run, flags.steps - number * flags.run)
        print(f"seed {seed + number}: {count} steps through {flags.through}", flush=True)
        found = explore(seed + number, count, lambda: fresh(flags.ours, flags.through), drawing)
        if found:
            print(f"{found.what}\nshortening {len(found.steps)} steps ...", flush=True)
            print(shrink(found, lambda: fresh(flags.ours, flags.through)))
            sys.exit(1)


if __name__ == "__main__":
    main()
