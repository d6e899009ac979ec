"""The steps, each with a goal that has to be reached in time, and the judgement at the end."""

import contextlib
import json
import secrets
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.compat.patroni import judge
from tests.compat.patroni.nodes import DATABASE, SUPERUSER, TTL_S, Node
from tests.compat.patroni.store import Store

STEP_S = 180.0
SETTLE_S = 3.0
END_S = 30.0
TABLE = "CREATE TABLE numbers (writer text, number integer)"  # no key: a row that is there twice must show
ROWS = "SELECT writer || '|' || number FROM numbers ORDER BY writer, number"
BEHIND = "SELECT pg_wal_lsn_diff('{}', pg_last_wal_replay_lsn())::bigint"


class Step(NamedTuple):
    """One step of the report; times on the monotonic clock."""

    name: str
    began: float
    ended: float
    before: str
    after: str
    remark: str


class Proof:
    """Two nodes and the traffic through them; ended with the block."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store = store
        self.directory = directory
        self.password = secrets.token_hex(16)
        self.nodes = [Node(directory / name, name, store.hosts, self.password) for name in ("n1", "n2")]
        self.steps: list[Step] = []
        self.traffic: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_traffic()
        for node in self.nodes:
            node.stop()

    def run(self) -> list[str]:
        """All steps; prints, and gives what was wrong."""
        return self._run(self.bootstrap, self.switchover, self.kill_postmaster, self.kill_node, self.kill_store_leader)

    def control(self) -> bool:
        """Two primaries made on purpose: whether the judge saw them, and nothing else wrong."""
        wrong = self._run(self.bootstrap, self.stop_patroni)
        return bool(wrong) and all(each.startswith("PostgreSQL: ") for each in wrong)

    def _run(self, *steps: Callable[[], None]) -> list[str]:
        try:
            for step in steps:
                step()
            time.sleep(SETTLE_S)
            wrong = []
        except (TimeoutError, AssertionError) as error:
            wrong = [str(error)]
        lines = self._end_traffic()
        wrong += self._judge(lines)
        self._print(lines, wrong)
        return wrong

    # -- the steps ----------------------------------------------------------------------------------------------------
    def bootstrap(self) -> None:
        """The first node makes the database, the second copies it and becomes the synchronous standby."""
        began = time.monotonic()
        one, two = self.nodes
        one.spawn()
        self._wait(lambda: self.primary() is one, "a primary")
        ready = time.monotonic()
        two.spawn()
        self._wait(self.whole, "a synchronous standby")
        one.sql(TABLE, self.password)
        self._step("bootstrap", began, "-", f"primary after {ready - began:.1f} s")
        self._start_traffic()

    def switchover(self) -> None:
        """Asked of Patroni's REST API, as patronictl does."""
        time.sleep(SETTLE_S)
        old, new = self._pair()
        began = time.monotonic()
        status, said = old.ask("POST", "/switchover", {"leader": old.name, "candidate": new.name}, limit_s=STEP_S)
        assert status == 200, f"switchover: {status} {said}"
        self._wait(lambda: self.primary() is new and self.whole(), "the switchover")
        self._step("planned switchover", began, old.name)

    def kill_postmaster(self) -> None:
        """Patroni of the node lives on, and either starts PostgreSQL again or gives the lead away."""
        time.sleep(SETTLE_S)
        old, _ = self._pair()
        before = old.postmaster()
        began = time.monotonic()
        old.kill(patroni=False)
        self._wait(lambda: old.postmaster() not in (None, before) and self.whole(), "a primary after SIGKILL")
        self._step("SIGKILL of the postmaster", began, old.name)

    def kill_node(self) -> None:
        """The other takes over when the key of the dead one has expired; the dead one comes back as its standby."""
        time.sleep(SETTLE_S)
        old, new = self._pair()
        began = time.monotonic()
        old.kill(patroni=True)
        self._wait(lambda: self.primary() is new, "a primary after SIGKILL of its node")
        took_s = time.monotonic() - began
        old.spawn()
        self._wait(lambda: self.primary() is new and self.whole(), "the killed node as a standby")
        self._step(
            "SIGKILL of the primary's node", began, old.name, f"new primary after {took_s:.1f} s (ttl {TTL_S} s)"
        )

    def kill_store_leader(self) -> None:
        """The leader is the member that Patroni of the primary is connected to. PostgreSQL's primary has no reason to
        change: watched for longer than its key lives. Then the member is started again."""
        time.sleep(SETTLE_S)
        primary, _ = self._pair()
        leader = self.store.lead_among(primary.connected())
        began = time.monotonic()
        leader.kill()
        following = self.store.leader()
        took_s = time.monotonic() - began
        time.sleep(TTL_S + SETTLE_S)
        self._wait(self.whole, "a whole cluster on two members")
        remark = f"{leader.name} killed, {following.name} leads after {took_s:.1f} s"
        self._step("SIGKILL of the store's leader", began, primary.name, remark)
        began = time.monotonic()
        self.store.spawn(leader)
        self.store.wait_served()
        self._step("the killed member is back", began, primary.name)

    def stop_patroni(self) -> None:
        """Patroni of the primary is held past its time and PostgreSQL is not, as where a machine has no watchdog."""
        time.sleep(SETTLE_S)
        old, new = self._pair()
        assert old.process is not None
        began = time.monotonic()
        old.process.send_signal(signal.SIGSTOP)
        try:
            self._wait(lambda: new.ask("GET", "/primary")[0] == 200, "a second primary")
            time.sleep(SETTLE_S)
        finally:
            old.process.send_signal(signal.SIGCONT)
        self._wait(lambda: self.primary() is new and self.whole(), "the old primary as a standby")
        self._step("SIGSTOP of the primary's Patroni", began, old.name)

    # -- what the nodes say -------------------------------------------------------------------------------------------
    def primary(self) -> Node | None:
        """The node that Patroni calls primary; None while there is none."""
        return next((node for node in self.nodes if node.ask("GET", "/primary")[0] == 200), None)

    def whole(self) -> bool:
        """A primary that runs, and a synchronous standby that follows it."""
        primary = self.primary()
        if primary is None:
            return False
        _, said = primary.ask("GET", "/cluster")
        members = said.get("members", []) if isinstance(said, dict) else []
        return {(each.get("role"), each.get("state")) for each in members} == {
            ("leader", "running"),
            ("sync_standby", "streaming"),
        }

    def _pair(self) -> tuple[Node, Node]:
        self._wait(self.whole, "a whole cluster")
        primary = self.primary()
        assert primary is not None, "no primary"
        return primary, next(node for node in self.nodes if node is not primary)

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + STEP_S
        while not done():
            for node in self.nodes:
                assert node.process is None or node.process.poll() is None, f"Patroni of {node.name} ended"
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {STEP_S:.0f} s: {what}")
            time.sleep(0.1)

    def _step(self, name: str, began: float, before: str, remark: str = "") -> None:
        primary = self.primary()
        after = "none" if primary is None else primary.name
        self.steps.append(Step(name, began, time.monotonic(), before, after, remark))
        print(f"{name}: {self.steps[-1].ended - began:.1f} s", flush=True)

    # -- traffic and judgement ----------------------------------------------------------------------------------------
    def _start_traffic(self) -> None:
        plan = {
            "dsn": f"user={SUPERUSER} dbname={DATABASE}",
            "ports": [node.port for node in self.nodes],
            "rest_ports": [node.rest_port for node in self.nodes],
        }
        with (self.directory / "lines").open("wb") as output, (self.directory / "log").open("wb") as log:
            self.traffic = subprocess.Popen(
                [self.nodes[0].programs / "python", Path(__file__).with_name("traffic.py"), json.dumps(plan)],
                stdin=subprocess.PIPE, stdout=output, stderr=log, env={"PGPASSWORD": self.password},
            )  # fmt: skip

    def _end_traffic(self) -> list[judge.Line]:
        if self.traffic is None:
            return []
        if self.traffic.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.traffic.communicate(timeout=END_S)
        if self.traffic.poll() is None:
            self.traffic.kill()
            self.traffic.wait()
        lines: list[judge.Line] = []
        for line in (self.directory / "lines").read_text().splitlines():
            with contextlib.suppress(ValueError):  # the last one, of a process that was killed
                lines.append(json.loads(line))
        return lines

    def _judge(self, lines: list[judge.Line]) -> list[str]:
        primary = self.primary()
        if primary is None or not lines:
            return ["no primary at the end, or nothing was written"]
        assert self.traffic is not None
        wrong = [f"traffic ended with {self.traffic.returncode}"] if self.traffic.returncode else []
        wrong += judge.two_primaries(lines)
        rows = primary.sql(ROWS, self.password)
        wrong += judge.lost_or_doubled(lines, [_row(each) for each in rows.splitlines()])
        place = primary.sql("SELECT pg_current_wal_flush_lsn()", self.password)
        for node in self.nodes:
            if node is not primary:
                self._wait(partial(self._caught_up, node, place), "the standby's rows")
                if node.sql(ROWS, self.password) != rows:
                    wrong.append(f"{node.name} holds other rows than the primary")
        return wrong

    def _caught_up(self, node: Node, place: str) -> bool:
        return int(node.sql(BEHIND.format(place), self.password)) <= 0

    def _print(self, lines: list[judge.Line], wrong: list[str]) -> None:
        print(f"\n{'step':32} {'seconds':>8} {'longest pause':>14}  primary")
        for step in self.steps:
            pause = judge.longest_pause(lines, "application", step.began, step.ended) if step.before != "-" else 0.0
            shown = f"{pause:12.2f} s" if step.before != "-" else " " * 14
            who = f"{step.before} -> {step.after}" if step.before != step.after else step.after
            print(f"{step.name:32} {step.ended - step.began:8.1f} {shown:>14}  {who:10} {step.remark}")
        for who in sorted({line["writer"] for line in lines if line["kind"] == "write"}):
            outcomes = Counter(line["outcome"] for line in lines if line.get("writer") == who)
            print(f"{who}: {dict(outcomes)}")
        asked = Counter(line["kind"] for line in lines if line.get("answered"))
        print(f"answers about who is primary: {asked['role']} of PostgreSQL, {asked['rest']} of Patroni")
        for span in sorted(judge.timelines(lines), key=lambda each: each.began):
            name = next(node.name for node in self.nodes if node.port == span.port)
            print(f"  {span.what}: {name}, {span.ended - span.began:.1f} s")
        for line in wrong[:50]:
            print(f"WRONG {line}")
        if not wrong:
            print("never two primaries; every acknowledged transaction is there once, on both nodes")


def _row(text: str) -> Any:
    writer, number = text.rsplit("|", 1)
    return writer, int(number)
