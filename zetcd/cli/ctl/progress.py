"""A progress bar on a terminal's stderr; nothing elsewhere, so that outputs stay clean in pipes."""

import sys
import time

from zetcd.cli.ctl.golang import format_duration

_WIDTH = 80
_REDRAW_S = 0.1


class Bar:
    """Counts up to total: ``12 / 60 [=====>-----]  20.00% 48s``; the time is what is left, at the end what it took."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._began = time.monotonic()
        self._drawn = 0.0
        self._visible = sys.stderr.isatty()

    def at(self, count: int) -> None:
        """So many are done."""
        now = time.monotonic()
        if self._visible and now - self._drawn >= _REDRAW_S:
            self._drawn = now
            spent = now - self._began
            self._draw(count, spent / count * (self._total - count) if count else 0.0)

    def finish(self, count: int) -> None:
        """The last state, and a new line."""
        if self._visible:
            self._draw(count, time.monotonic() - self._began)
            sys.stderr.write("\n")

    def _draw(self, count: int, seconds: float) -> None:
        sys.stderr.write("\r" + bar_line(count, self._total, seconds))
        sys.stderr.flush()


def bar_line(count: int, total: int, seconds: float) -> str:
    """One state of a bar, of constant width."""
    lead = f" {count} / {total} "
    tail = f" {100 * count / max(total, 1):6.2f}% {format_duration(int(seconds))}"
    room = max(_WIDTH - len(lead) - len(tail) - 2, 0)
    full = min(room, -(-room * count // max(total, 1)))
    head = ">" if 0 < full < room else ""
    return f"{lead}[{'=' * (full - len(head))}{head}{'-' * (room - full)}]{tail}".ljust(_WIDTH)
