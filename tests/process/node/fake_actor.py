"""A process that behaves as an actor does towards its supervisor, and misbehaves on request.

argv: ROLE NUMBER DIRECTORY. It appends ``role pid word`` lines to DIRECTORY/events (``start``, ``ready``, ``stop``).
DIRECTORY/<role> may hold how to behave, read at each start: ``refuse`` and ``crash`` (before it is ready), ``mute``
(ready, but never pings again), ``stubborn`` (does not hear SIGTERM).
"""

import os
import signal
import sys
import time
from pathlib import Path

from zetcd.host.process import EX_CONFIG, Notifier, die_with_parent, entitle
from zetcd.wire import routes


def main() -> int:
    role, number, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    name = routes.title(role, number)
    behaviour = (directory / name).read_text() if (directory / name).exists() else ""

    def tell(word: str) -> None:
        with (directory / "events").open("ab", buffering=0) as events:
            events.write(f"{name} {os.getpid()} {word}\n".encode())

    # Blocked, so that sigtimedwait takes them: a real reactor sees a signal as one more event of its loop, too.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    die_with_parent()
    entitle(role, number)
    tell("start")
    notifier = Notifier.from_env()
    if behaviour == "refuse":
        return EX_CONFIG
    if behaviour == "crash":
        return 1
    tell("ready")  # first: who waits for the notice may kill us the moment it comes
    notifier.ready()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if behaviour != "mute":
            notifier.watchdog()
        got = signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, 0.05)
        if got is not None and behaviour != "stubborn":
            notifier.stopping()
            tell("stop")
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
