"""A network for each member: a namespace of its own on a bridge, so that any direction between two can be cut, slowed.

The program enters a namespace of its own first (`enter`), where the bridge is and the clients are: clients reach every
member whatever is cut between members, and all of it is gone with the program. Needs root, iproute2, nftables.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SUBNET = "10.77.0"
INSIDE = "ZETCD_TEST_INSIDE"
TOOLS = ("unshare", "nsenter", "ip", "tc", "nft", "mount")


def obstacle() -> str | None:
    """Why there can be no such networks here."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    done = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False)
    return f"no namespaces: {done.stderr.strip()}" if done.returncode else None


def enter(arguments: Sequence[str]) -> None:
    """Go on as the same program in namespaces of its own; returns there."""
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, "-m", *arguments])
    Path("/run/netns").mkdir(exist_ok=True)
    _run("mount -t tmpfs none /run/netns")
    _run("ip link set lo up")
    _run("ip link add hub type bridge")
    _run(f"ip addr add {SUBNET}.254/24 dev hub")
    _run("ip link set hub up")


@dataclass(frozen=True, slots=True)
class Net:
    """Of member number."""

    number: int

    @property
    def host(self) -> str:
        """Its address."""
        return f"{SUBNET}.{self.number}"

    @property
    def prefix(self) -> tuple[str, ...]:
        """Of the command that is to run in it."""
        return ("nsenter", f"--net=/run/netns/{self.name}", "--")

    @property
    def name(self) -> str:
        """Of the namespace."""
        return f"n{self.number}"

    def cut_from(self, other: "Net") -> None:
        """Nothing arrives here any more that other sends."""
        self._nft(f"add rule inet cut arriving ip saddr {other.host} drop")

    def lose_from(self, other: "Net", percent: int) -> None:
        """Of the packets that other sends, percent are lost, any of them."""
        self._nft(f"add rule inet cut arriving ip saddr {other.host} numgen random mod 100 < {percent} drop")

    def slow(self, kbit: int) -> None:
        """What leaves here, to members and clients, is limited to kbit a second, and waits at most 400 ms in line."""
        _run(f"tc -n {self.name} qdisc replace dev eth0 root tbf rate {kbit}kbit burst 4kb latency 400ms")

    def heal(self) -> None:
        """As it was."""
        self._nft("flush chain inet cut arriving")
        subprocess.run(f"tc -n {self.name} qdisc del dev eth0 root".split(), capture_output=True, check=False)

    def _nft(self, words: str) -> None:
        _run(f"{' '.join(self.prefix)} nft {words}")


def make(count: int) -> list[Net]:
    """Networks 1 to count."""
    found = [Net(number) for number in range(1, count + 1)]
    for net in found:
        _run(f"ip netns add {net.name}")
        _run(f"ip link add v{net.number} type veth peer name eth0 netns {net.name}")
        _run(f"ip link set v{net.number} master hub up")
        _run(f"ip -n {net.name} addr add {net.host}/24 dev eth0")
        _run(f"ip -n {net.name} link set eth0 up")
        _run(f"ip -n {net.name} link set lo up")
        net._nft("add table inet cut")
        net._nft("add chain inet cut arriving { type filter hook input priority 0 ; }")
    return found


def part(one: Sequence[Net], other: Sequence[Net]) -> None:
    """Nothing between the two sides, in both directions."""
    for left in one:
        for right in other:
            left.cut_from(right)
            right.cut_from(left)


def _run(command: str) -> None:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command}: {done.stderr.strip()}")
