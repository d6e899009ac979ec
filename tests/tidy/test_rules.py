"""The numbered safety rules: written down once, cited by their numbers, each with a test that names it."""

import re
from collections.abc import Iterator

from tests.tidy.sources import ROOT, Source, everything, sources

RULES = re.compile(r"^(\d+)\. \*\*(.*?)(?=^\d+\. \*\*|^## )", re.MULTILINE | re.DOTALL)
CITED = re.compile(r"\brules? (\d+)(?:(?: and |, )(\d+)\b(?!%))?|test_rules?((?:_\d\d)+)_")


def _rules() -> dict[int, str]:
    section = (ROOT / "docs/architecture.md").read_text().partition("## Safety rules\n")[2]
    return {int(number): text for number, text in RULES.findall(section.partition("## Bounds")[0] + "## ")}


def _cited(source: Source) -> Iterator[tuple[int, str]]:
    for count, line in enumerate(source.lines, 1):
        for match in CITED.finditer(line):
            for number in re.findall(r"\d+", " ".join(filter(None, match.groups()))):
                yield int(number), f"{source.path}:{count}"


def test_the_rules_are_numbered_without_a_gap() -> None:
    assert list(_rules()) == list(range(1, 24))


def test_every_cited_rule_is_written_down() -> None:
    rules = _rules()
    assert [where for source in everything() for number, where in _cited(source) if number not in rules] == []


def test_every_rule_has_a_test_that_names_it() -> None:
    named = {number for source in sources("tests") for number, _ in _cited(source)}
    assert [number for number, text in _rules().items() if number not in named and "Next release" not in text] == []
