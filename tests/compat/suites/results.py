"""What a run of pytest left in its JUnit file, and whether that is what `exclusions` says."""

from collections.abc import Collection, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.compat.suites.exclusions import Exclusion

PASSED = "passed"


def outcomes(path: Path) -> dict[str, str]:
    """Test -> "passed", or why not, in one line. A test is named ``Class.test[parameters]`` without its file."""
    found: dict[str, str] = {}
    for case in ET.parse(path).getroot().iter("testcase"):
        classes = [part for part in case.get("classname", "").split(".") if part[:1].isupper()]
        name = ".".join([*classes, case.get("name", "")])
        bad = [item for item in case if item.tag in {"failure", "error", "skipped"}]
        said = "; ".join(f"{item.tag}: {(item.get('message') or '').partition(chr(10))[0]}" for item in bad)
        # pytest writes a second entry where the end of a test fails after the test itself.
        found[name] = said or found.get(name, PASSED)
    return found


def failed(found: Mapping[str, str], excluded: Collection[Exclusion]) -> list[str]:
    """Tests that did not pass and are not excluded."""
    known = {each.test for each in excluded}
    return [test for test, said in found.items() if said != PASSED and test not in known]


def judge(found: Mapping[str, str], excluded: Collection[Exclusion]) -> list[str]:
    """What is wrong, one line each; empty: everything passed but what is excluded."""
    reasons = {each.test: each.reason for each in excluded}
    wrong = [f"{test}: {found[test]}" for test in failed(found, excluded)]
    wrong += [f"{test}: excluded, yet it passes" for test in reasons if found.get(test) == PASSED]
    wrong += [f"{test}: excluded, yet there is no such test" for test in reasons if test not in found]
    if not found:
        wrong.append("no test ran")
    return wrong
