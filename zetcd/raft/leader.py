"""A leader: appends, replicates, commits, confirms its leadership for reads (Raft sections 5.3, 5.4, 6.4, 8)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zetcd.base.errors import BAD_LEADER_TRANSFEREE, LEADER_CHANGED, TOO_MANY_REQUESTS, Error
from zetcd.raft.progress import Progress, State
from zetcd.raft.quorum import VoteResult, joint_committed, joint_vote_result
from zetcd.raft.reads import Lease, Reads
from zetcd.raft.ready import Context, ReadState
from zetcd.wire.entry import BlockKind, Entry, NoOp, encode_entries
from zetcd.wire.peer import (
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    PeerMessage,
    ReadIndexAnswer,
    ReadIndexAsk,
    TimeoutNow,
)

if TYPE_CHECKING:
    from zetcd.raft.core import Core

NO_OP = encode_entries([Entry(0, 0, NoOp())])


class Leader:
    """One leadership. since: index of its no-op; match: what each voter, itself included, holds durably.

    Members that a change removes are told so: they are served on for two election timeouts, without counting. The
    change is followed by an empty entry, `_farewell`; once that is committed, a majority of those that remain durably
    know of the change (rule 5), and a leader that was removed hands over (thesis sections 4.2.2 and 3.10).
    """

    def __init__(self, core: "Core") -> None:
        self.core = core
        self.elapsed = 0  # ticks since the last CheckQuorum
        self.since = core.log.last_index + 1
        self.match: dict[int, int] = {core.id: core.log.stable}
        self.peers: dict[int, Progress] = {}
        self.reads = Reads()
        self.transferee = 0
        self._heartbeat_elapsed = 0
        self._transfer_elapsed = 0
        self._farewell = 0
        self._departing: dict[int, int] = {}  # ticks for which a removed member is still served
        self._kept: dict[int, int] = {}  # by member with a snapshot on its way, the entry behind which its log goes on
        self._pins: dict[int, int] = {}  # ticks for which that is kept after the snapshot has arrived
        self._lease = Lease(core.config.election_ticks // 2 if core.config.lease_reads else 0)
        self.handlers: dict[type[PeerMessage], Callable[[Any], None]] = {
            AppendReply: self.on_append_reply,
            HeartbeatReply: self.on_heartbeat_reply,
            ReadIndexAsk: self.on_read_index_ask,
        }

    leased = True

    def begin(self) -> None:
        """Raft section 8: an entry of the own term, which commits everything before it."""
        self._track()
        self.core.log.extend(self.core.term, BlockKind.NORMAL, 1, NO_OP)

    def leave(self) -> None:
        """Leadership is over: its reads fail (rule 10)."""
        for read in self.reads.drain():
            if not read.requester:
                self.core.reads_failed += read.contexts

    def on_conf(self) -> None:
        """A configuration took effect. A leader outside it goes on, without a vote, until a voter has its whole log and
        takes over: stepping down at once could leave nobody who can win."""
        core = self.core
        former = frozenset(self._departing)
        self._track()
        if self.transferee not in core.conf.voters:
            self.transferee = 0
        if self._leaving or self._departing.keys() - former:
            self._farewell = core.log.extend(core.term, BlockKind.NORMAL, 1, NO_OP)[1]
        self._maybe_commit()

    def on_applied(self) -> None:
        """A transition that ends by itself is ended: an empty membership entry says so to the state machine."""
        core = self.core
        conf = core.conf
        if conf.outgoing and conf.auto_leave and core.log.membership_index <= core.log.applied:
            core.log.extend(core.term, BlockKind.MEMBERSHIP, 1, NO_OP)

    @property
    def keep(self) -> int:
        """The highest entry up to which no snapshot on its way needs the log (rule 7)."""
        return min(self._kept.values(), default=self.core.log.applied)

    @property
    def _leaving(self) -> bool:
        conf = self.core.conf
        return self.core.id not in conf.voters and self.core.id not in conf.outgoing

    def _maybe_leave(self) -> None:
        core = self.core
        if self._leaving and core.log.committed >= self._farewell:
            core.told = max(core.told, core.log.committed)
            if not self.transferee:
                self.transfer(max(core.conf.voters, key=lambda voter: self.match.get(voter, 0)))

    def _track(self) -> None:
        core = self.core
        conf = core.conf
        members = {*conf.voters, *conf.outgoing, *conf.learners} - {core.id}
        for member in sorted(members & self._departing.keys()):
            del self._departing[member]
        for member in sorted(members - self.peers.keys()):
            config = core.config
            self.peers[member] = Progress(
                core.log.last_index + 1, config.inflight_messages_max, config.inflight_bytes_max
            )
            # A new member is given one whole election timeout before CheckQuorum counts it as silent.
            self.peers[member].active = True
        for member in sorted(self.peers.keys() - members):
            self._departing.setdefault(member, 2 * core.config.election_ticks)

    def _forget(self, member: int) -> None:
        del self._departing[member], self.peers[member]
        self._unpin(member)
        self.match.pop(member, None)
        self.reads.echoed.pop(member, None)
        self._lease.promised.pop(member, None)

    # -- time --------------------------------------------------------------------------------------------------------
    def tick(self) -> None:
        """Heartbeats, CheckQuorum, and the end of a transfer that does not come about."""
        core = self.core
        self.elapsed += 1
        self._heartbeat_elapsed += 1
        if self.transferee:
            self._transfer_elapsed += 1
            if self._transfer_elapsed >= core.config.election_ticks:
                self.transferee = 0
                self._maybe_leave()
        for member in list(self._departing):
            self._departing[member] -= 1
            if not self._departing[member]:
                self._forget(member)
        for member in list(self._pins):
            self._pins[member] -= 1
            if not self._pins[member]:
                self._unpin(member)
        if self.elapsed >= core.config.election_ticks:
            self.elapsed = 0
            if core.config.check_quorum and not self._quorum_active():
                core.become_follower(core.term, 0)
                return
        if self._heartbeat_elapsed >= core.config.heartbeat_ticks:
            for progress in self.peers.values():
                progress.moved = False
            self._heartbeat()

    def _quorum_active(self) -> bool:
        """Thesis section 6.2: a leader that no majority has answered for an election timeout stops leading."""
        heard = {member: progress.active for member, progress in self.peers.items()}
        heard[self.core.id] = True  # counts only where it votes
        for progress in self.peers.values():
            progress.active = False
        conf = self.core.conf
        return joint_vote_result(conf.voters, conf.outgoing, heard) == VoteResult.WON

    def _heartbeat(self) -> None:
        core = self.core
        self._heartbeat_elapsed = 0
        committed = core.log.committed
        announced = core.announced
        number = self.reads.open_round(core.id, committed if committed >= self.since else None)
        self._lease.sent(number, core.ticks)
        self._lease.promise(core.id, number)
        for member, progress in self.peers.items():
            core.messages.append(Heartbeat(core.term, core.id, member, min(progress.match, announced), number))
        self._confirm_reads()

    # -- proposals and commit ----------------------------------------------------------------------------------------
    def propose(self, kind: int, count: int, data: bytes) -> tuple[int, int] | Error:
        """See `Core.propose`."""
        core = self.core
        log = core.log
        pending = log.uncommitted_bytes
        if pending and pending + len(data) > core.config.uncommitted_bytes_max:
            return TOO_MANY_REQUESTS
        if self.transferee:
            return LEADER_CHANGED
        if kind and log.membership_index > log.applied:
            return TOO_MANY_REQUESTS  # rule 14: one change at a time
        return log.extend(core.term, kind, count, data)

    def on_persisted(self, vote: int, last: int) -> None:  # noqa: ARG002
        """Entries handed out in this term are durable here; that is the leader's own acknowledgement (rule 4)."""
        if last > self.match[self.core.id]:
            self.match[self.core.id] = last
            self._maybe_commit()

    def _maybe_commit(self) -> None:
        conf = self.core.conf
        index = joint_committed(conf.voters, conf.outgoing, self.match)
        # Everything from `since` on is of the own term; older entries are never committed by counting (section 5.4.2).
        if index >= self.since:
            self.core.log.commit_to(index)
            if self._farewell:
                self._maybe_leave()

    # -- replication -------------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """End of a turn: one round for all waiting reads, and to each peer what it lacks."""
        core = self.core
        if self.reads.waiting and core.log.committed >= self.since:
            self._heartbeat()
        announced = core.announced
        for member, progress in self.peers.items():
            self._replicate(member, progress, announced)

    def _replicate(self, member: int, progress: Progress, announced: int) -> None:
        log = self.core.log
        while not progress.paused and progress.next <= log.last_index:
            if not self._send_append(member, progress):
                return
        if progress.paused:
            return
        if progress.state == State.PROBE:
            if progress.match < log.last_index:
                self._send_append(member, progress)
        elif announced > progress.commit_sent:
            self._send_append(member, progress, quiet=True)

    def _send_append(self, member: int, progress: Progress, *, quiet: bool = False) -> bool:
        core = self.core
        log = core.log
        previous = progress.next - 1
        term = log.term_at(previous)
        if term is None:
            progress.become_snapshot(log.committed)
            if member not in self._departing:
                self._kept[member] = core.flushed
                self._pins.pop(member, None)
                core.snapshots_wanted.append(member)
            return False
        blocks = log.blocks_from(progress.next, core.config.append_bytes_max)
        announced = core.announced
        core.messages.append(Append(core.term, core.id, member, previous, term, announced, blocks, quiet))
        progress.commit_sent = announced
        progress.sent(blocks[-1].last if blocks else previous, sum(len(block.data) for block in blocks))
        return True

    def on_append_reply(self, message: AppendReply) -> None:
        """Raft section 5.3; refusals step back by term, not entry by entry."""
        progress = self.peers.get(message.source)
        log = self.core.log
        if progress is None or message.index > log.last_index:
            return
        progress.active = True
        if message.rejected:
            hint = log.last_within(message.hint_index, message.hint_term)
            if message.index == progress.match and hint < progress.match and progress.state != State.SNAPSHOT:
                # Either a late refusal, then this costs a probe, or its disk lost a tail and it would refuse for ever.
                progress.lost(hint)
                self.match[message.source] = progress.match
            elif progress.maybe_decrease(message.index, hint) and progress.state == State.REPLICATE:
                progress.become_probe()
            return
        if not progress.maybe_update(message.index):
            return
        self.match[message.source] = message.index
        if progress.state == State.SNAPSHOT and progress.match >= log.base_index:
            progress.become_probe()
        if progress.state == State.PROBE:
            progress.become_replicate()
            self._unpin(message.source)
        if message.source == self.transferee:
            self._maybe_hand_over()
        self._maybe_commit()

    def on_heartbeat_reply(self, message: HeartbeatReply) -> None:
        """Confirms leadership, and wakes a probe that may have been lost."""
        progress = self.peers.get(message.source)
        if progress is None:
            return
        lost = progress.heard()
        behind = progress.state == State.REPLICATE and progress.match < self.core.log.last_index
        if lost and behind and not progress.paused:
            self._send_append(message.source, progress)  # if an Append was lost, this one is refused and tells
        self.reads.echo(message.source, message.round)
        if message.promised and message.round <= self.reads.number:
            self._lease.promise(message.source, message.round)
        self._confirm_reads()
        if message.source == self.transferee:
            self._maybe_hand_over()  # the word may have been lost

    def snapshot_started(self, member: int, index: int) -> None:
        """See `Core.snapshot_started`."""
        if member in self._kept:
            self._kept[member] = index

    def _unpin(self, member: int) -> None:
        self._kept.pop(member, None)
        self._pins.pop(member, None)

    def snapshot_finished(self, member: int, index: int) -> None:
        """A snapshot at index was installed by member, or failed (0): probe where it is now."""
        progress = self.peers.get(member)
        if progress is not None and progress.state == State.SNAPSHOT:
            progress.snapshot = min(index, self.core.log.last_index)
            progress.become_probe()
            if index:
                self._pins[member] = self.core.config.pin_ticks
            else:
                self._unpin(member)
            progress.waiting = True  # until a heartbeat is answered: a failing snapshot must not spin

    # -- reads -------------------------------------------------------------------------------------------------------
    def read_index(self, context: Context) -> Error | None:
        """See `Core.read_index`."""
        if self._leased_read:
            core = self.core
            core.read_states.append(ReadState(core.log.committed, core.term, [context]))
        else:
            self.reads.register(0, [context])
        return None

    @property
    def _leased_read(self) -> bool:
        return self._lease.holds(self.core.ticks) and self.core.log.committed >= self.since

    def void_lease(self) -> None:
        """See `Core.void_lease`."""
        self._lease.void()

    def on_read_index_ask(self, message: ReadIndexAsk) -> None:
        """Reads of a follower."""
        if message.source not in self.peers:
            return
        if self._leased_read:
            core = self.core
            index = core.log.committed
            core.messages.append(ReadIndexAnswer(core.term, core.id, message.source, message.contexts, index))
        else:
            self.reads.register(message.source, message.contexts)

    def _confirm_reads(self) -> None:
        core = self.core
        if self._lease.ticks:
            self._lease.echoed(joint_committed(core.conf.voters, core.conf.outgoing, self._lease.promised))
        for opened in self.reads.confirmed(core.conf.voters, core.conf.outgoing):
            own: list[Context] = []
            for read in opened.reads:
                if read.requester:
                    answer = ReadIndexAnswer(core.term, core.id, read.requester, read.contexts, opened.index)
                    core.messages.append(answer)
                else:
                    own += read.contexts
            if own:
                core.read_states.append(ReadState(opened.index, core.term, own))

    # -- handing over (thesis section 3.10) ----------------------------------------------------------------------------
    def transfer(self, target: int) -> Error | None:
        """See `Core.transfer`."""
        core = self.core
        if target == core.id:
            return None
        if target not in core.conf.voters:
            return BAD_LEADER_TRANSFEREE
        self.transferee = target
        self._transfer_elapsed = 0
        self._maybe_hand_over()
        return None

    def _maybe_hand_over(self) -> None:
        core = self.core
        if self.transferee and self.match.get(self.transferee, 0) == core.log.last_index:
            self._lease.end()
            core.messages.append(TimeoutNow(core.term, core.id, self.transferee))
