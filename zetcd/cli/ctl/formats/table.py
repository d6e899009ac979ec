"""-w table: boxes of ASCII, headings centred, cells to the right.

A cell wider than 30 columns is broken at its spaces so that the lines differ least from the widest one (the sum of
squares, the last line not counted), as the library under etcdctl does it; its column is 30 wide even if every line is
shorter. An unbreakable word widens the column.
"""

from collections.abc import Sequence

from zetcd.cli.ctl.formats import Options, Printer, Reply
from zetcd.cli.ctl.formats.rows import (
    HASH_HEADINGS,
    HEALTH_HEADINGS,
    MEMBER_HEADINGS,
    SNAPSHOT_HEADINGS,
    STATUS_HEADINGS,
    hash_rows,
    health_rows,
    member_rows,
    snapshot_rows,
    status_rows,
)

CELL_WIDTH_MAX = 30
_TOO_LONG = 100_000


def wrap(text: str) -> list[str]:
    """The lines of one cell."""
    words = text.split(" ")
    limit = max(min(len(text), CELL_WIDTH_MAX), *(len(word) for word in words))
    count = len(words)
    cost = [2**31 - 1] * count
    next_line = [count] * count
    for first in range(count - 1, -1, -1):
        if len(" ".join(words[first:])) <= limit:
            cost[first] = 0
            continue
        for end in range(first + 1, count):
            width = len(" ".join(words[first:end]))
            here = (limit - width) ** 2 + cost[end] + (_TOO_LONG if width > limit else 0)
            if here < cost[first]:
                cost[first], next_line[first] = here, end
    lines, at = [], 0
    while at < count:
        lines.append(" ".join(words[at : next_line[at]]))
        at = next_line[at]
    return lines


def render(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """The whole table."""
    cells = [[wrap(cell) for cell in row] for row in rows]
    heads = [wrap(heading) for heading in headings]
    widths = [
        max(max(min(len(" ".join(row[column])), CELL_WIDTH_MAX), *map(len, row[column])) for row in (heads, *cells))
        for column in range(len(headings))
    ]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    out = rule + _row(heads, widths, centred=True) + rule
    for row in cells:
        out += _row(row, widths, centred=False)
    return (out + rule).encode("utf-8", "surrogateescape")


def _row(cells: Sequence[Sequence[str]], widths: Sequence[int], *, centred: bool) -> str:
    out = ""
    for number in range(max(len(lines) for lines in cells)):
        for lines, width in zip(cells, widths, strict=True):
            line = lines[number] if number < len(lines) else ""
            left = (width - len(line)) // 2 if centred else width - len(line)
            out += f"| {' ' * left}{line}{' ' * (width - len(line) - left)} "
        out += "|\n"
    return out


def _members(reply: Reply, _: Options) -> bytes:
    return render(MEMBER_HEADINGS, member_rows(reply))


def _statuses(reply: Reply, _: Options) -> bytes:
    return render(STATUS_HEADINGS, status_rows(reply))


def _hashes(reply: Reply, _: Options) -> bytes:
    return render(HASH_HEADINGS, hash_rows(reply))


def _health(reply: Reply, _: Options) -> bytes:
    return render(HEALTH_HEADINGS, health_rows(reply))


def _snapshot(reply: Reply, _: Options) -> bytes:
    return render(SNAPSHOT_HEADINGS, snapshot_rows(reply))


PRINTERS: dict[str, Printer] = {
    "members": _members,
    "statuses": _statuses,
    "hashes": _hashes,
    "health": _health,
    "snapshot": _snapshot,
}
