"""The test suites of Python clients of etcd, as published, against one member of zetcd."""

import shutil
from pathlib import Path

import pytest

from tests.compat.suites.__main__ import run
from tests.compat.suites.exclusions import EXCLUSIONS, TIMED, Exclusion
from tests.compat.suites.prepare import UnavailableError, prepare
from tests.compat.suites.recipes import RECIPES
from tests.compat.suites.results import PASSED, judge, outcomes
from tests.compat.suites.servers import ETCDCTL

TOOLS = ("unshare", "ip", "pgrep", ETCDCTL)
MISSING = [tool for tool in TOOLS if not shutil.which(tool)]


@pytest.mark.timeout(1800)
@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")
@pytest.mark.parametrize("name", RECIPES)
def test_suite(name: str) -> None:
    try:
        prepare(RECIPES[name])
    except UnavailableError as error:
        pytest.skip(f"{name} is not to be had: {error}")
    assert not run(RECIPES[name], "zetcd", 1)


def test_exclusions_name_suites_and_say_why() -> None:
    assert all(each.suite in RECIPES and len(each.reason) > 10 for each in EXCLUSIONS)
    assert all(suite in RECIPES and reason for (suite, _), reason in TIMED.items())


def test_an_exclusion_that_passes_or_is_not_there_is_wrong() -> None:
    def excluded(test: str) -> Exclusion:
        return Exclusion("aetcd", test, ("zetcd",), (1,), "why")

    found = {"fine": PASSED, "broken": "failure: x", "excluded": "failure: y", "mended": PASSED}
    assert judge(found, [excluded("excluded")]) == ["broken: failure: x"]
    assert judge(found, [excluded("excluded"), excluded("broken"), excluded("mended"), excluded("gone")]) == [
        "mended: excluded, yet it passes",
        "gone: excluded, yet there is no such test",
    ]
    assert judge({}, []) == ["no test ran"]


def test_outcomes_are_read_from_junit(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="tests.test_x.TestX" name="a[1]"/>'
        '<testcase classname="tests.test_x" name="b"><failure message="m&#10;n">t</failure></testcase>'
        '<testcase classname="tests.test_x" name="c"><skipped message="s"/></testcase>'
        '<testcase classname="tests.test_x" name="d"/><testcase classname="tests.test_x" name="d"><error message="e"/>'
        "</testcase></testsuite></testsuites>"
    )
    assert outcomes(report) == {
        "TestX.a[1]": PASSED,
        "b": "failure: m",
        "c": "skipped: s",
        "d": "error: e",
    }
