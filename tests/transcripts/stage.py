"""Plays a transcript: commands to several cores, and what they did about it.

    # a comment
    > command argument option=value
    what happened, as this module writes it

A command's lines run to the next blank line, comment or command. `play` returns the transcript with the outputs of this
run; where that differs from the file, either the core or the expectation changed (`make rewrite` takes the new one).

| command | what happens |
|---|---|
| `add-member M` | one more core, which knows of nobody |
| `members N [voters=1,2] [learners=3] [index=10] [option=value ...]` | N cores; flush=0: stores never sync |
| `campaign M`, `tick M [N]`, `propose M TEXT [N]`, `read M NUMBER` | inputs of core M |
| `transfer M TO`, `forget-leader M` | the same |
| `change M KIND TARGET` | propose add, learner, promote, remove |
| `transition M auto/explicit V,V`, `leave M` | to these voters through a joint configuration |
| `ready M`, `sync M [N]` | one turn; the disk answers the oldest N Readys |
| `deliver [to=1,2] [only=Append] [repeat=2]`, `lose [to=...] [only=...]` | of the messages under way |
| `settle [M ...] [lose=3]` | these members go on until nothing happens; others get their mail later |
| `crash M [written=N]`, `restart M`, `cut-tail M INDEX` | the disk loses what comes after INDEX, suspected |
| `compact M INDEX`, `snapshot M TO INDEX|failed` | the log is cut; the leader hears how a snapshot ended |
| `state`, `log M`, `progress M`, `mail` | show |
| `quiet`, `loud` | whether turns are shown |
"""

from collections.abc import Callable, Iterator
from typing import Any

from tests.scenarios.cluster import Cluster, Disk, Node, noops
from zetcd.base.errors import Error
from zetcd.raft.candidate import Candidate
from zetcd.raft.config import Config
from zetcd.raft.leader import Leader
from zetcd.raft.ready import Ready
from zetcd.wire.entry import Block, BlockKind, Entry, MemberChange, Put, decode_entries, encode_entries
from zetcd.wire.local import ConfState, HardState
from zetcd.wire.peer import (
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    PeerMessage,
    ReadIndexAnswer,
    ReadIndexAsk,
    Snapshot,
    TimeoutNow,
    Vote,
    VoteReply,
)

KINDS = {"add": 2, "learner": 3, "promote": 4, "remove": 5}


def play(text: str) -> str:
    """The transcript with this run's outputs."""
    stage = Stage()
    lines: list[str] = []
    skipping = False
    for line in text.splitlines():
        if line.startswith("> "):
            lines += [line, *stage.run(line[2:])]
            skipping = True
        elif not line or line.startswith("#"):
            lines.append(line)
            skipping = False
        elif not skipping:
            lines.append(line)
    return "\n".join(lines) + "\n"


class Stage:
    """The cluster of one transcript."""

    def __init__(self) -> None:
        self.cluster = Cluster(0)
        self.out: list[str] = []
        self.loud = True

    def run(self, line: str) -> list[str]:
        """The output of one command."""
        words = line.split()
        options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        arguments = [word for word in words[1:] if "=" not in word]
        command: Callable[..., object] = getattr(self, "do_" + words[0].replace("-", "_"))
        self.out = []
        result = command(*arguments, **options)
        if isinstance(result, Error):
            self.out.append(f"refused: {result.message}")
        return self.out

    def node(self, member: str) -> Node:
        return self.cluster.nodes[int(member)]

    # -- the cast ----------------------------------------------------------------------------------------------------
    def do_members(self, size: str, voters: str = "", learners: str = "", index: str = "0", **config: str) -> None:
        count = int(size)
        flush = config.pop("flush", "1")
        conf = ConfState(ids(voters) or [m for m in range(1, count + 1) if m not in ids(learners)], ids(learners))
        values: dict[str, Any] = {"election_ticks": 3} | {name: int(value) for name, value in config.items()}
        self.cluster = Cluster(count, lambda m: Config(m, **values), flush_always=flush == "1", conf=conf)
        at = int(index)
        if at:
            for node in self.cluster.nodes.values():
                node.disk = Disk((at, 1), HardState(1, 0, at), [], (at, 1, conf))
                node.start()

    def do_add_member(self, member: str) -> None:
        self.cluster.nodes[int(member)] = Node(self.cluster, int(member), ConfState([]))

    # -- inputs ------------------------------------------------------------------------------------------------------
    def do_campaign(self, member: str) -> None:
        self.node(member).core.campaign()

    def do_tick(self, member: str, count: str = "1") -> None:
        for _ in range(int(count)):
            self.node(member).core.tick()

    def do_propose(self, member: str, text: str, count: str = "1") -> object:
        result: object = None
        for _ in range(int(count)):
            data = encode_entries([Entry(1, self.cluster.next_serial(), Put(text.encode(), b""))])
            result = self.node(member).core.propose(BlockKind.NORMAL, 1, data)
            self.node(member).core.log.seal()
        return result

    def do_change(self, member: str, kind: str, target: str) -> object:
        change = MemberChange(KINDS[kind], int(target))
        return self.node(member).core.propose(BlockKind.MEMBERSHIP, 1, encode_entries([Entry(1, 1, change)]))

    def do_transition(self, member: str, kind: str, voters: str) -> object:
        change = MemberChange(20 + (kind == "explicit"), sum(1 << voter for voter in ids(voters)))
        return self.node(member).core.propose(BlockKind.MEMBERSHIP, 1, encode_entries([Entry(1, 1, change)]))

    def do_leave(self, member: str) -> object:
        return self.node(member).core.propose(BlockKind.MEMBERSHIP, 1, noops(1))

    def do_read(self, member: str, number: str) -> object:
        node = self.node(member)
        node.reads[int(member), int(number)] = self.cluster.committed
        return node.core.read_index((int(member), int(number)))

    def do_transfer(self, member: str, target: str) -> object:
        return self.node(member).core.transfer(int(target))

    def do_forget_leader(self, member: str) -> None:
        self.node(member).core.forget_leader()

    # -- turns, disks, mail --------------------------------------------------------------------------------------------
    def do_ready(self, member: str) -> None:
        if not self.turn(self.node(member)):
            self.out.append("nothing")

    def do_sync(self, member: str, count: str | None = None) -> None:
        self.node(member).sync(None if count is None else int(count))

    def turn(self, node: Node) -> bool:
        """One turn, shown."""
        before, conf, mailed = node.applied, node.conf, len(self.cluster.mail)
        if not node.act():
            return False
        assert node.last_ready is not None
        if self.loud:
            self.out.append(f"{node.member} {show_ready(node.last_ready)}".rstrip())
            self.out += [f"  {show(message)}" for message in self.cluster.mail[mailed:]]
            for index in range(before + 1, node.applied + 1):
                if index in self.cluster.log:
                    self.out.append(f"  executes {index} {show_entry(self.cluster.log[index][1])}")
            if node.conf != conf:
                self.out.append(f"  now {show_conf(node.conf)}")
        return True

    def pick(self, to: str, only: str) -> Iterator[PeerMessage]:
        """Take these out of the mail."""
        rest: list[PeerMessage] = []
        for message in self.cluster.mail:
            if (not to or message.target in ids(to)) and (not only or type(message).__name__ in only.split(",")):
                yield message
            else:
                rest.append(message)
        self.cluster.mail = rest

    def do_deliver(self, to: str = "", only: str = "", repeat: str = "1") -> None:
        for message in list(self.pick(to, only)):
            for _ in range(int(repeat)):
                self.cluster.deliver(message)

    def do_lose(self, to: str = "", only: str = "") -> None:
        self.out += [f"lost {show(message)}" for message in self.pick(to, only)]

    def do_settle(self, *members: str, lose: str = "") -> None:
        chosen = [self.node(member) for member in members] or list(self.cluster.nodes.values())
        to = ",".join(str(node.member) for node in chosen)
        for _ in range(100):
            busy = False
            for node in chosen:
                busy = (node.up and node.sync()) or busy
                while node.up and self.turn(node):
                    busy = True
                    node.sync()
            self.do_lose(to=lose or "0")
            mail = list(self.pick(to, ""))
            for message in mail:
                self.cluster.deliver(message)
            if not busy and not mail:
                return
        raise AssertionError("the stage does not come to rest")

    # -- faults ------------------------------------------------------------------------------------------------------
    def do_crash(self, member: str, written: str = "0") -> None:
        self.node(member).crash(int(written))

    def do_restart(self, member: str) -> None:
        self.node(member).start()

    def do_cut_tail(self, member: str, index: str) -> None:
        self.node(member).lose_tail(int(index))

    def do_compact(self, member: str, index: str) -> None:
        self.node(member).core.log.compact(int(index))

    def do_snapshot(self, member: str, target: str, index: str) -> None:
        self.node(member).core.snapshot_finished(int(target), 0 if index == "failed" else int(index))

    # -- showing -----------------------------------------------------------------------------------------------------
    def do_quiet(self) -> None:
        self.loud = False

    def do_loud(self) -> None:
        self.loud = True

    def do_state(self) -> None:
        for node in self.cluster.nodes.values():
            core, log = node.core, node.core.log
            if not node.up:
                self.out.append(f"{node.member} down")
                continue
            asks = isinstance(core.role, Candidate) and core.role.pre
            role = "pre-" * asks + type(core.role).__name__.lower()
            let_go = ", let go" if core.let_go else ""
            self.out.append(
                f"{node.member} {role} term {core.term} leader {core.leader} last {log.last_index}/{log.last_term} "
                f"committed {log.committed} applied {log.applied} {show_conf(core.conf)}{let_go}"
            )

    def do_log(self, member: str) -> None:
        log = self.node(member).core.log
        for block in log.blocks_from(log.first_index):
            for index, entry in enumerate(decode_entries(block.count, block.data), block.first):
                self.out.append(f"{index}/{block.term} {show_entry(entry)}")

    def do_progress(self, member: str) -> None:
        role = self.node(member).core.role
        assert isinstance(role, Leader)
        for target, progress in role.peers.items():
            waits = " paused" if progress.paused else ""
            state = progress.state.name.lower()
            self.out.append(f"{target} {state} match {progress.match} next {progress.next}{waits}")

    def do_mail(self) -> None:
        self.out += [show(message) for message in self.cluster.mail] or ["none"]


def ids(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def show_entry(entry: Entry) -> str:
    command = entry.command
    if isinstance(command, Put):
        return f"put {command.key.decode()}"
    if isinstance(command, MemberChange):
        if command.kind >= 20:
            voters = [member for member in range(1, 32) if command.member >> member & 1]
            return f"transition to {voters}" + (" that ends by itself" if command.kind == 20 else "")
        return f"{next(name for name, kind in KINDS.items() if kind == command.kind)} {command.member}"
    return "empty"


def show_conf(conf: ConfState) -> str:
    parts = [f"voters {conf.voters}"]
    parts += [f"and {conf.outgoing}"] if conf.outgoing else []
    parts += [f"learners {conf.learners}"] if conf.learners else []
    return " ".join(parts)


def show_blocks(blocks: list[Block]) -> str:
    return " ".join(f"{block.first}..{block.last}/{block.term}" for block in blocks) or "nothing"


def show_ready(ready: Ready) -> str:
    parts = []
    if ready.number:
        parts.append(f"persists #{ready.number}:" + (" synced" if ready.must_sync else ""))
    if ready.hard_state is not None:
        hard = ready.hard_state
        parts.append(f"term {hard.term} vote {hard.vote} commit {hard.commit}")
    if ready.snapshot is not None:
        parts.append(f"snapshot {ready.snapshot.index}/{ready.snapshot.term}")
    if ready.blocks:
        parts.append(f"entries {show_blocks(ready.blocks)}")
    if ready.soft_state is not None:
        soft = ready.soft_state
        parts.append("leads" if soft.is_leader else f"follows {soft.leader}" if soft.leader else "knows no leader")
        parts[-1] += f" in term {soft.term}"
    if ready.commit is not None:
        parts.append(f"commits {ready.commit.index}/{ready.commit.term}")
    parts += [f"reads {[c[1] for c in state.contexts]} at {state.index}" for state in ready.read_states]
    parts += [f"fails reads {[c[1] for c in ready.reads_failed]}"] if ready.reads_failed else []
    parts += [f"wants a snapshot for {member}" for member in ready.snapshots_wanted]
    return ", ".join(parts).replace(":, ", ": ").replace("synced, ", "synced ")


def show(message: PeerMessage) -> str:
    """One message as a line."""
    head = f"{message.source}->{message.target} {type(message).__name__} term {message.term}"
    known = ""
    if isinstance(message, Vote | VoteReply) and message.commit:
        known = f" knows {message.commit}/{message.commit_term}"
    match message:
        case Vote():
            flags = " pre" * message.pre + " transfer" * message.transfer
            return f"{head}{flags} last {message.last_index}/{message.last_term}{known}"
        case VoteReply():
            return f"{head}{' pre' * message.pre} {'granted' if message.granted else 'refused'}{known}"
        case Append():
            after = f"after {message.previous_index}/{message.previous_term}"
            return f"{head} {after} {show_blocks(message.blocks)} commit {message.commit}"
        case AppendReply():
            if message.rejected:
                return f"{head} refused {message.index}, try {message.hint_index}/{message.hint_term}"
            return f"{head} holds {message.index}"
        case Heartbeat():
            return f"{head} round {message.round} commit {message.commit}"
        case HeartbeatReply():
            return f"{head} round {message.round}"
        case TimeoutNow():
            return head
        case ReadIndexAsk():
            return f"{head} {[context[1] for context in message.contexts]}"
        case ReadIndexAnswer():
            return f"{head} {[context[1] for context in message.contexts]} at {message.index}"
        case Snapshot():
            return f"{head} at {message.index}/{message.last_term} {show_conf(message.conf)}"
