"""Runs `zetcd.node.supervisor.Supervisor` over fake actors.

``python -m tests.process.node.supervised DIRECTORY [limit=value ...]``; a limit is a role (its watchdog) or stop-role.
Prints ``ready`` once, logs to stderr, exits with the supervisor's code.
"""

import sys
from pathlib import Path

from zetcd.base.settings import Settings
from zetcd.host import logs
from zetcd.node import children, supervisor

FAKE = Path(__file__).with_name("fake_actor.py")


def main() -> int:
    directory = sys.argv[1]
    settings = Settings(name="fake", data_dir=directory, api_processes=2, gateway_processes=2, log_format="console")
    for word in sys.argv[2:]:
        role, _, milliseconds = word.partition("=")
        if role.startswith("stop-"):
            order = supervisor.STOP_ORDER
            supervisor.STOP_ORDER = tuple(
                (one, int(milliseconds) if one == role[5:] else limit_ms) for one, limit_ms in order
            )
        else:
            children.WATCHDOG_MS[role] = int(milliseconds)

    def command(role: str, number: int) -> list[str]:
        return [sys.executable, str(FAKE), role, str(number), directory]

    def on_ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    return supervisor.Supervisor(settings, logs.configure(settings, "supervisor"), command, on_ready).run()


if __name__ == "__main__":
    sys.exit(main())
