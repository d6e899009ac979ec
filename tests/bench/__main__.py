"""``python -m tests.bench``: compare zetcd with etcd on this machine; see docs/benchmarks/README.md."""

import argparse
import sys
from pathlib import Path

from tests.bench import report
from tests.bench.rounds import CLUSTER_WORKLOADS, GATEWAY_WORKLOADS, WORKLOADS, Bench


def main() -> None:
    """Flags in, a page and its charts out."""
    names = [workload.name for workload in (*WORKLOADS, *CLUSTER_WORKLOADS, *GATEWAY_WORKLOADS)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="measured time of each workload")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys of the large keyspace")
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    parser.add_argument("--only", nargs="*", default=[], choices=[*names, "large"], help="nothing but these")
    parser.add_argument(
        "--zetcd-flag", action="append", default=[], help="passed to zetcd, repeatable: --zetcd-flag=--api-processes=2"
    )
    flags = parser.parse_args()
    bench = Bench(
        flags.seconds, flags.rounds, flags.keys, tuple(flags.zetcd_flag), tuple(flags.only),
        lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    bench.run()
    print(report.write(bench, flags.output))


if __name__ == "__main__":
    main()
