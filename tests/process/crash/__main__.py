"""`make chaos`: many kills under load. Exit code 1 where a promise broke or service was away for more than --within."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.process.crash.rounds import run


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=56)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--within", type=float, default=2.0, help="seconds until service must be back")
    plan = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zetcd-crash-") as directory:
        summary = run(Path(directory), plan.kills, plan.seed, lambda line: print(line, flush=True))
    print(json.dumps(summary))
    outages = summary["outages"]
    assert isinstance(outages, list)
    late = [outage for outage in outages if outage[1] > plan.within]
    print(f"worst {max(outage[1] for outage in outages)} s; over {plan.within} s: {late}")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
