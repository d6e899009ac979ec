"""``python -m tests.compat.etcdctl``: etcdctl 3.4.23 on etcd 3.4.23 and on zetcd, command by command, in all formats.

Prints the differences that are known, with reasons, and those that are not; exit code 1 if there are any of these.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.compat.etcdctl.compare import Compared
from tests.compat.etcdctl.runner import with_one, with_three
from tests.compat.etcdctl.scenarios import ONE_MEMBER, THREE_MEMBERS, checks


def main() -> None:
    """Flags in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, choices=(1, 3), action="append", help="default: one, then three")
    parser.add_argument("--against", choices=("zetcd", "etcd"), default="zetcd", help="etcd: a look at the scenarios")
    parser.add_argument("--checks", action="store_true", help="etcdctl check perf and datascale too (minutes)")
    parser.add_argument("scenarios", nargs="*")
    flags = parser.parse_args()
    wrong = False
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        if 1 in (flags.members or [1]):
            alone = (*ONE_MEMBER, checks) if flags.checks else ONE_MEMBER
            chosen = [each for each in alone if not flags.scenarios or each.__name__ in flags.scenarios]
            wrong |= bool(report(1, with_one(Path(name) / "1", chosen, against=flags.against)))
        if 3 in (flags.members or [3]):
            several = [each for each in THREE_MEMBERS if not flags.scenarios or each.__name__ in flags.scenarios]
            wrong |= bool(report(3, with_three(Path(name) / "3", several, against=flags.against)))
    sys.exit(wrong)


def report(members: int, compared: Compared) -> list[str]:
    """Print; gives what is wrong."""
    print(f"{members} member(s): {compared.steps} steps, {len(compared.known)} with a known difference", flush=True)
    for reason in dict.fromkeys(difference.reason for difference in compared.known.values()):
        labels = [label for label, difference in compared.known.items() if difference.reason == reason]
        print(f"  known: {reason}: {'; '.join(labels)}")
    for text in compared.wrong:
        print(f"  WRONG {text}")
    return compared.wrong


if __name__ == "__main__":
    main()
