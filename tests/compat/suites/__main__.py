"""``python -m tests.compat.suites [--server etcd|zetcd] [--members 1|3] [suite...]``: suites of etcd's Python clients.

Each runs against fresh members in network and process namespaces of its own (unshare), so that the default ports are
free and a test that stops members by name finds no others. Prints what does not pass and why, and what is wrong; exit
code 1 if anything is, 69 if the packages cannot be installed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.compat.suites.exclusions import TIMED, excluded
from tests.compat.suites.prepare import NO_PACKAGES, ROOT, Prepared, UnavailableError, prepare
from tests.compat.suites.recipes import RECIPES, Recipe
from tests.compat.suites.results import PASSED, failed, judge, outcomes
from tests.compat.suites.servers import environment, running

TEST_S = 120
SUITE_S = 900.0


def main() -> None:
    """Flags in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=("etcd", "zetcd"), default="zetcd")
    parser.add_argument("--members", type=int, choices=(1, 3), default=1)
    parser.add_argument("--keep", type=Path, help="directory for the members' logs and pytest's output")
    parser.add_argument("-k", dest="only", default="", help="pytest's -k, to look at single tests; nothing is judged")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("suites", nargs="*", choices=[*RECIPES, []], metavar=f"suite ({', '.join(RECIPES)})")
    flags = parser.parse_args()
    names = flags.suites or list(RECIPES)
    if flags.inside:
        inside(Prepared(RECIPES[names[0]]), flags.server, flags.members, flags.keep, flags.only)
        return
    wrong = False
    for name in names:
        try:
            prepare(RECIPES[name])
        except UnavailableError as error:
            print(error, file=sys.stderr)
            sys.exit(NO_PACKAGES)
        wrong |= bool(run(RECIPES[name], flags.server, flags.members, flags.keep, flags.only))
    sys.exit(wrong)


def run(recipe: Recipe, server: str, members: int, keep: Path | None = None, only: str = "") -> list[str]:
    """One suite; prints, and gives what is wrong. Tests that assert times may fail once. only: pytest's -k."""
    found, output = attempt(recipe, server, members, keep, only)
    known = excluded(recipe.name, server, members)
    late = failed(found, known)
    if late and not only and all((recipe.name, test) in TIMED for test in late):
        again, _ = attempt(recipe, server, members, keep, " or ".join(late))
        for test in late:
            print(f"  again: {test}, which {TIMED[recipe.name, test]}: {again.get(test)}; before: {found[test]}")
        found |= again
    wrong = [] if only else judge(found, known)
    passed = sum(said == PASSED for said in found.values())
    print(f"{recipe.sdist} on {server}, {members} member(s): {passed} of {len(found)} tests pass", flush=True)
    for each in known:
        print(f"  not judged: {each.test}: {each.reason}")
    for line in wrong:
        print(f"  WRONG {line}")
    if wrong or only:
        print(output)
    return wrong


def attempt(recipe: Recipe, server: str, members: int, keep: Path | None, only: str) -> tuple[dict[str, str], str]:
    """A run in namespaces of its own: outcomes by test, and the end of what pytest said."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        directory = Path(name)
        words = ["--inside", "--server", server, "--members", str(members), "--keep", name, "-k", only, recipe.name]
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        subprocess.run(
            [
                "unshare", *user, "--net", "--pid", "--fork", "--mount-proc", "--kill-child",
                sys.executable, "-m", "tests.compat.suites", *words,
            ],
            cwd=ROOT, timeout=SUITE_S, check=True,
        )  # fmt: skip
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            for path in directory.iterdir():
                if path.is_file():
                    shutil.copy(path, keep / f"{recipe.name}-{path.name}")
        report = directory / "junit.xml"
        return outcomes(report) if report.exists() else {}, (directory / "output").read_text()[-30_000:]


def inside(prepared: Prepared, server: str, members: int, directory: Path, only: str) -> None:
    """Within the namespaces: members, then pytest of the suite, whose output and JUnit file are left in directory."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    recipe = prepared.recipe
    chosen = recipe.environment | (recipe.cluster if members > 1 else {})
    variables = environment() | {key: text.format(cwd=prepared.source) for key, text in chosen.items()}
    with running(server, members, directory), (directory / "output").open("wb") as output:
        subprocess.run(
            [
                str(prepared.python), "-m", "pytest", *recipe.flags, "-p", "no:cacheprovider", "-q", "-ra",
                "--tb=short", "--timeout", str(TEST_S), f"--junitxml={directory / 'junit.xml'}",
                *(["-k", only] if only else []),
            ],
            cwd=prepared.source, stdout=output, stderr=output, env=variables, check=False,
        )  # fmt: skip


if __name__ == "__main__":
    main()
