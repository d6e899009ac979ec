"""Handing leadership over (rules 20 and 21): before a stop, and where the own wal or apply does not answer any more.

A heartbeat that lives must not hide a hung disk: a leader whose wal or apply has not answered for PERSIST_AGE_MAX_MS
refuses proposals and hands over to the voter that holds most of its log, was heard of within the last election timeout
and reported, just as lately, that its own disk answers. Followers report with every tick.
"""

from dataclasses import dataclass

from zetcd.actors.peers import Log, Peers
from zetcd.base import limits
from zetcd.raft.core import Core
from zetcd.raft.leader import Leader
from zetcd.wire.peer import Health


@dataclass(frozen=True, slots=True)
class _Report:
    age_ms: int
    at_ms: int


class Handover:
    """One member's part, as a follower and as a leader."""

    def __init__(self, peers: Peers, election_ms: int, log: Log) -> None:
        self._peers = peers
        self._election_ms = election_ms
        self._log = log
        self._reports: dict[int, _Report] = {}
        self._now_ms = 0
        self._tried: dict[int, int] = {}  # target -> when; one that did not come about is not tried again at once
        self._stop_until_ms: int | None = None
        self._led_at_ms: int | None = None  # the last tick or stop at which this member led

    def on_health(self, message: Health) -> None:
        """A follower's word about itself."""
        self._reports[message.source] = _Report(message.age_ms, self._now_ms)

    def on_tick(self, core: Core, now_ms: int, age_ms: int) -> None:
        """age_ms: for how long our own wal or apply has owed an answer."""
        self._now_ms = now_ms
        if core.is_leader:
            self._led_at_ms = now_ms
            if age_ms > limits.PERSIST_AGE_MAX_MS:
                self._hand_over(core, f"wal or apply has not answered for {age_ms} ms")
            elif self._stop_until_ms is not None:
                self._hand_over(core, "stopping")
        else:
            self._reports.clear()
            self._tried.clear()
            if core.leader:
                self._peers.send(Health(core.id, core.leader, age_ms))

    def on_stop(self, core: Core) -> None:
        """The member stops: somebody else shall lead, if anybody can."""
        self._stop_until_ms = self._now_ms + min(2 * self._election_ms, limits.HANDOVER_MAX_MS)
        if core.is_leader:
            self._hand_over(core, "stopping")

    def done(self, core: Core) -> bool:
        """Whether a stop need not wait (any more): for another leader, and a moment longer, in which what was still
        forwarded here is refused, so that it is offered to the other one."""
        until_ms = self._stop_until_ms
        if core.alone or until_ms is None or self._now_ms >= until_ms:
            return True
        lingers = self._led_at_ms is not None and self._now_ms - self._led_at_ms < limits.HANDOVER_LINGER_MS
        return not core.is_leader and not lingers

    def _hand_over(self, core: Core, why: str) -> None:
        leader = core.role
        if not isinstance(leader, Leader) or leader.transferee:
            return
        targets = self._targets(core, leader)
        if not targets:
            return
        target = min(targets, key=lambda member: (self._tried.get(member, 0), -leader.match.get(member, 0)))
        self._tried[target] = self._now_ms
        if core.transfer(target) is None:
            self._log.warn("handing leadership over", to=self._peers.name_of(target), reason=why)

    def _targets(self, core: Core, leader: Leader) -> list[int]:
        found = []
        for member in core.conf.voters:
            progress, report = leader.peers.get(member), self._reports.get(member)
            if progress is None or report is None or self._now_ms - report.at_ms > self._election_ms:
                continue
            if report.age_ms <= limits.PERSIST_AGE_MAX_MS // 2 and leader.match.get(member, 0) >= core.log.base_index:
                found.append(member)
        return found
