"""sd_notify as systemd reads it: datagrams on NOTIFY_SOCKET, by path and by abstract name."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from zetcd.base.errors import Refusal
from zetcd.host.process import Notifier, format_processors, pin
from zetcd.node.children import NoticeSocket


def receiver(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(address)
    sock.settimeout(10)
    return sock


@pytest.mark.parametrize("abstract", [False, True])
def test_readiness_watchdog_and_stop(tmp_path: Path, abstract: bool) -> None:
    name = str(tmp_path / "notify")
    with receiver("\0" + name if abstract else name) as sock:
        environ = {"NOTIFY_SOCKET": "@" + name if abstract else name, "WATCHDOG_USEC": "2000000"}
        notifier = Notifier.from_env(environ)
        assert notifier.watchdog_ms == 2000
        notifier.ready("serving")
        notifier.watchdog()
        notifier.watchdog()  # rate-limited: at most four in the timeout
        notifier.stopping()
        assert [sock.recv(100) for _ in range(3)] == [b"READY=1\nSTATUS=serving", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_a_supervisor_nothing_is_sent() -> None:
    notifier = Notifier.from_env({})
    notifier.ready()
    notifier.watchdog()
    notifier.stopping()
    assert notifier.watchdog_ms == 0


def test_a_watchdog_meant_for_another_process_is_not_ours() -> None:
    assert Notifier.from_env({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}).watchdog_ms == 0
    assert Notifier.from_env({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getpid())}).watchdog_ms == 1


def test_a_supervisor_that_does_not_read_or_is_gone_does_not_stop_us(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    sock = receiver(name)
    notifier = Notifier(name, 1)
    for _ in range(2_000):
        notifier.status("nobody reads it")
    notifier.ready()
    sock.close()
    notifier.ready()


def test_a_wrong_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="NOTIFY_SOCKET"):
        Notifier(str(tmp_path / "nobody"))


def test_the_kernel_vouches_for_the_sender() -> None:
    notices = NoticeSocket()
    program = "import os; from zetcd.host.process import Notifier; Notifier.from_env().ready(); print(os.getpid())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"NOTIFY_SOCKET": notices.address},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert list(notices.take()) == [(int(done.stdout), "READY=1")]
    notices.close()


def test_pinning_names_what_is_not_here() -> None:
    with pytest.raises(Refusal, match="no processor 4095 here"):
        pin([4095])
    pin([])


def test_processors_are_shown_in_runs() -> None:
    assert format_processors({0, 1, 2, 5, 7, 8}) == "0-2,5,7-8"


def test_rule_21_a_start_goes_on_while_its_loop_shows_life(tmp_path: Path) -> None:
    """systemd would end a member that waits for the others after TimeoutStartSec otherwise."""
    address = str(tmp_path / "notify")
    with receiver(address) as listener:
        waiting = Notifier(address, watchdog_ms=4)
        waiting.watchdog()
        assert b"EXTEND_TIMEOUT_USEC=" in listener.recv(4096)
        serving = Notifier(address, watchdog_ms=4)
        serving.ready()
        assert listener.recv(4096) == b"READY=1"
        serving.watchdog()
        assert listener.recv(4096) == b"WATCHDOG=1"
