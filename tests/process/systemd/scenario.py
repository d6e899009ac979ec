"""Runs inside a throwaway systemd as root: a member as its units start it, killed and frozen in every process.

``python scenario.py ROOT PROGRAM``; prints a line for each thing done, ends with ``passed`` and 0, or with the
journal. Talks plain REQ, so that nothing of ours is needed but the server.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import zmq

MEMBER = "m-1"  # a dash, because unit names are cut at dashes
FATE = ("wal", "raft", "apply")
PROCESSES = (*FATE, "lease", "api-0", "api-1", "gateway-0")
LIMIT_S = 60.0
ENDPOINT = "tcp://127.0.0.1:2378"
GATEWAY = "http://127.0.0.1:2379"
REACHABLE = ("/home", "/root", "/run/user")
"""Where ProtectHome= hides things; a checkout or an interpreter there needs a window."""


def unit(process: str) -> str:
    return f"zetcd-{process}@{MEMBER}.service"


def systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode:
        raise AssertionError(f"systemctl {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def pid(process: str) -> int:
    return int(systemctl("show", "-P", "MainPID", unit(process)))


def pids() -> dict[str, int]:
    return {process: pid(process) for process in PROCESSES}


def state(process: str) -> str:
    return systemctl("show", "-P", "ActiveState", unit(process))


def call(request: dict[str, Any], limit_s: float) -> dict[str, Any] | None:
    """One request on a fresh REQ socket; None without an answer."""
    sock: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
    with sock:
        sock.setsockopt(zmq.LINGER, 0)
        sock.connect(ENDPOINT)
        sock.send(msgpack.packb(request))
        if not sock.poll(int(limit_s * 1000)):
            return None
        reply: dict[str, Any] = msgpack.unpackb(sock.recv())
        return reply


def served(since: float) -> float:
    """Seconds from since until a linearizable get is answered."""
    while time.monotonic() - since < LIMIT_S:
        reply = call({"op": "range", "key": b"served"}, 0.5)
        if reply is not None and "error" not in reply:
            return time.monotonic() - since
    raise AssertionError(f"no service within {LIMIT_S} s")


def until(what: str, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)  # systemd's own state, asked through its command


def put(key: str) -> None:
    reply = call({"op": "put", "key": key.encode(), "value": key.encode()}, 10)
    assert reply is not None, f"put {key}: no answer"
    assert "error" not in reply, f"put {key}: {reply}"


def etcdctl(*words: str) -> str | None:
    """What etcd's own client prints, through the gateway; None where it fails."""
    argv = ["etcdctl", "--endpoints", GATEWAY, *words]
    done = subprocess.run(
        argv, env={"PATH": "/usr/bin", "ETCDCTL_API": "3"}, capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    return done.stdout if done.returncode == 0 else None


def gateway_serves() -> bool:
    """Where etcdctl is not installed, the gateway is only started, killed and stopped."""
    if not shutil.which("etcdctl"):
        return True
    return etcdctl("put", "through", "the gateway") == "OK\n" and etcdctl("get", "through") == "through\nthe gateway\n"


def check(keys: list[str]) -> None:
    """All of them are there."""
    for key in keys:
        reply = call({"op": "range", "key": key.encode()}, 10)
        assert reply is not None, f"get {key}: no answer"
        assert reply.get("kvs", [{}])[0].get("value") == key.encode(), f"get {key}: {reply}"


def install(root: Path, program: str) -> None:
    subprocess.run(
        [root / "deploy/systemd/install", "--zetcd", program, "--api-processes", "2", "--pin", MEMBER], check=True
    )
    hidden = {str(path) for path in (root, Path(sys.prefix), Path(sys.base_prefix)) if str(path).startswith(REACHABLE)}
    if hidden:
        for path in hidden:
            for parent in Path(path).parents:
                parent.chmod(parent.stat().st_mode | 0o011)  # in the overlay, gone with the box
        for process in (*PROCESSES, "x"):
            directory = Path(f"/etc/systemd/system/zetcd-{process}@.service.d")
            directory.mkdir()
            text = f"[Service]\nProtectHome=tmpfs\nBindReadOnlyPaths={' '.join(sorted(hidden))}\n"
            (directory / "window.conf").write_text(text)
    settings = (root / "deploy/config/m1.env").read_text().replace("=m1=", f"={MEMBER}=")
    Path(f"/etc/zetcd/{MEMBER}.env").write_text(settings)
    systemctl("daemon-reload")
    systemctl("enable", unit("api-1"))


def killed(victim: str, number: signal.Signals, keys: list[str]) -> None:
    """Signal one process; service returns, the right ones are new, what was written is there."""
    before = pids()
    started = time.monotonic()
    os.kill(before[victim], number)
    group = set(FATE) if victim in FATE else {victim}
    until(f"{victim} did not start anew", lambda: all(pid(one) not in (0, before[one]) for one in group))
    until(f"{victim}: not all active", lambda: all(state(one) == "active" for one in PROCESSES))
    service = served(started)
    new = {one for one, number in pids().items() if number != before[one]}
    assert new == group, f"{victim}: {new} are new"
    check(keys)
    until(f"{victim}: etcdctl fails", gateway_serves)
    key = f"after-{number.name}-{victim}"
    put(key)
    keys.append(key)
    print(f"{number.name} {victim}: {', '.join(sorted(new))} anew, service back after {service:.1f} s", flush=True)


def orphans() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"actor" in words and b"--name" in words:
                    found.append(b" ".join(words).decode())
    return found


def scenario(root: Path, program: str) -> None:
    install(root, program)
    started = time.monotonic()
    systemctl("start", f"zetcd@{MEMBER}.target")
    print(f"start: every process READY after {time.monotonic() - started:.1f} s", flush=True)
    served(started)
    keys = ["first"]
    put("first")
    assert gateway_serves(), "etcdctl"
    for process in PROCESSES:
        words = Path(f"/proc/{pid(process)}/cmdline").read_bytes().decode().split("\0")
        assert process.partition("-")[0] in words, words
        assert MEMBER in words, words
        if process != "gateway-0":  # which is left to the kernel
            assert len(os.sched_getaffinity(pid(process))) == 1, f"{process} is not pinned"
    for victim in PROCESSES:
        killed(victim, signal.SIGKILL, keys)
    for victim in PROCESSES:
        killed(victim, signal.SIGSTOP, keys)
    every = pids()
    for number in every.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    until("not all anew", lambda: all(pid(one) not in (0, every[one]) for one in PROCESSES))
    until("not all active", lambda: all(state(one) == "active" for one in PROCESSES))
    served(time.monotonic())
    check(keys)
    print("SIGKILL to all: all anew", flush=True)
    started = time.monotonic()
    systemctl("stop", f"zetcd@{MEMBER}.target")
    until("not all stopped", lambda: all(state(one) in ("inactive", "failed") for one in PROCESSES))
    print(f"stop: {time.monotonic() - started:.1f} s", flush=True)
    failed = [one for one in PROCESSES if state(one) == "failed"]
    assert not failed, f"{failed} did not stop cleanly"
    assert orphans() == [], orphans()
    systemctl("start", f"zetcd@{MEMBER}.target")
    served(time.monotonic())
    check(keys)
    print(f"start again: {len(keys)} keys are there", flush=True)
    systemctl("restart", f"zetcd@{MEMBER}.target")
    served(time.monotonic())
    check(keys)
    print("restart: the same", flush=True)
    systemctl("stop", f"zetcd@{MEMBER}.target")
    until("not all stopped", lambda: not orphans())


def main() -> int:
    try:
        scenario(Path(sys.argv[1]), sys.argv[2])
    except AssertionError as error:
        print(f"failed: {error}", flush=True)
        subprocess.run(["systemctl", "list-units", "--all", "zetcd*"], check=False)
        subprocess.run(["journalctl", "-u", "zetcd*", "-n", "150", "--no-pager", "-o", "short-monotonic"], check=False)
        return 1
    print("passed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
