"""``python -m tests.bench.hops``: where one client's put and get spend their time, hop by hop and process by process.

Starts a member with ``--trace-hops``, sends requests one after another over a plain REQ socket, and prints the mean
time between stamps (see `zetcd.actors.tracing`) and the CPU time of each process's threads per request.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.process.crash.workload import Req
from tests.process.member import Member

TICKS_PER_S = 100  # of /proc/PID/stat


def thread_times(member: Member) -> dict[tuple[str, str], float]:
    """(process, thread name) -> CPU seconds."""
    found: dict[tuple[str, str], float] = {}
    for actor, process in member.processes().items():
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            text = (task / "stat").read_text()
            fields = text[text.rindex(")") + 2 :].split()
            name = text[text.index("(") + 1 : text.rindex(")")]
            found[actor, name] = found.get((actor, name), 0.0) + (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return found


def measure(member: Member, op: str, count: int) -> None:
    """Print the tables of one op."""
    req = Req(member.endpoint)

    def call(request: dict[str, Any]) -> dict[str, Any]:
        reply = req.call(request, 10)
        assert reply is not None
        return reply

    def send(number: int) -> None:
        if op == "put":
            call({"op": "put", "key": b"bench/%d" % (number % 1000), "value": bytes(256)})
        else:
            call({"op": "range", "key": b"bench/1"})

    for number in range(count // 10):
        send(number)
    before, cpu = call({"op": "metrics"})["hops"], thread_times(member)
    took = []
    for number in range(count):
        started = time.perf_counter_ns()
        send(number)
        took.append(time.perf_counter_ns() - started)
    after = call({"op": "metrics"})["hops"]
    took.sort()
    p10, p50, p90 = (took[count * tenth // 10] // 1000 for tenth in (1, 5, 9))
    print(f"{op}: p50 {p50} us, p10 {p10}, p90 {p90}")
    for pair, (times, nanos) in after.items():
        times_before, nanos_before = before.get(pair, (0, 0))
        if times - times_before > count // 2:
            print(f"  {pair:32} {(nanos - nanos_before) / (times - times_before) / 1000:7.1f} us")
    for (actor, thread), seconds in sorted(thread_times(member).items()):
        used = (seconds - cpu.get((actor, thread), 0.0)) / count * 1e6
        if used >= 1:
            print(f"  CPU {actor:8} {thread:16} {used:7.1f} us a request")
    req.close()


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--zetcd-flag", action="append", default=[])
    plan = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="zetcd-hops-") as directory,
        Member(Path(directory), "--trace-hops", *plan.zetcd_flag) as member,
    ):
        for op in ("put", "get"):
            measure(member, op, plan.count)


if __name__ == "__main__":
    main()
