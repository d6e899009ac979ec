"""What lock and elect share: a lease kept alive while this process lives, and an end by signal that cleans up."""

import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import ERROR, Exit
from zetcd.session.errors import Error

if TYPE_CHECKING:
    from types import FrameType

    from zetcd.client.lease import Lease

T = TypeVar("T")

WAIT_FOREVER_S = 10.0 * 365 * 24 * 3600
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK_S = 0.5


class Interrupted(Exception):
    """A signal arrived before the work was done."""


class Signals:
    """SIGINT and SIGTERM: noted, and handed on to a child where there is one.

    What may block for long runs in a thread of its own, so that no handler has to break into the client's code.
    """

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._seen = False
        self.hand_on: Callable[[int], None] | None = None
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: "FrameType | None") -> None:
        if self.hand_on is not None:
            self.hand_on(number)
            return
        self._seen = True
        self._wake.set()

    def during(self, work: Callable[[], T], lease: "Lease | None" = None) -> T:
        """What work returns or raises. Raises Interrupted if a signal comes first, Exit if the lease ends first; the
        work is left alone then."""
        outcome: list[Any] = []

        def run() -> None:
            try:
                outcome.extend((True, work()))
            except BaseException as error:  # noqa: BLE001  (raised again in the thread that waits)
                outcome.extend((False, error))
            self._wake.set()

        threading.Thread(target=run, daemon=True).start()
        while len(outcome) < 2:
            self._wake.wait(_LOOK_S)
            if self._seen:
                raise Interrupted
            if lease is not None and lease.lost:
                raise Exit(ERROR, "session expired")
        self._wake.clear()
        done, value = outcome
        if not done:
            raise value
        result: T = value
        return result

    def wait(self, lease: "Lease") -> bool:
        """Until a signal (True) or the end of the lease (False)."""
        while not self._seen:
            if lease.lost:
                return False
            self._wake.wait(_LOOK_S)
        return True


def session(console: Console, ttl: int) -> "Lease":
    """A lease that is renewed in the background. Raises Exit."""
    try:
        return console.client.lease_grant(ttl, timeout=console.timeout).keep_alive()
    except Error as error:
        raise Exit(ERROR, error.message) from None


def end(lease: "Lease") -> None:
    """Ends the lease and with it every key it holds. Raises Exit."""
    try:
        lease.revoke()
    except Error as error:
        raise Exit(ERROR, error.message) from None
