"""The window of one follower against a list of what is under way, and any two logs brought into agreement."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.paper.stepping import drain, make, only, terms_of
from zetcd.raft.core import Core
from zetcd.raft.progress import Progress, State
from zetcd.wire.peer import Append, AppendReply, PeerMessage, VoteReply

MESSAGES, BYTES = 3, 100


class WindowMachine(RuleBasedStateMachine):
    """A leader sends, is answered, hears heartbeats, and time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress(5, MESSAGES, BYTES)
        self.sent: list[tuple[int, int]] = []  # (last, bytes), of this state
        self.matched = 0
        self.answered = False  # anything, since the last tick
        self.probes = 0

    def enter(self) -> None:
        self.sent = []
        self.probes = 0

    @precondition(lambda self: not self.progress.paused)
    @rule(count=st.integers(1, 4), size=st.integers(1, 250))
    def send(self, count: int, size: int) -> None:
        progress = self.progress
        last = progress.next + count - 1
        assert sum(size for _, size in self.sent) < BYTES
        progress.sent(last, size)
        if progress.state == State.REPLICATE:
            self.sent.append((last, size))
        else:
            self.probes += 1

    @precondition(lambda self: self.progress.state != State.SNAPSHOT)
    @rule(ahead=st.integers(0, 6))
    def acknowledge(self, ahead: int) -> None:
        progress = self.progress
        index = min(progress.match + ahead, progress.next + 3)
        if progress.maybe_update(index):
            self.matched = index
            self.answered = True
            if progress.state == State.PROBE:
                progress.become_replicate()
                self.enter()
        self.sent = [(last, size) for last, size in self.sent if last > index]

    @rule()
    def hear(self) -> None:
        full = self.progress.state == State.REPLICATE and self.progress.paused
        again = self.progress.heard()
        assert self.progress.active
        assert again == (not self.answered)
        self.answered = True
        if again:
            self.probes = 0
            if full and self.sent:
                self.sent.pop(0)

    @rule()
    def tick(self) -> None:
        self.progress.moved = self.answered = False

    @rule(rejected=st.integers(0, 30), hint=st.integers(0, 30))
    def refuse(self, rejected: int, hint: int) -> None:
        progress = self.progress
        before = progress.next
        stale = rejected <= progress.match if progress.state == State.REPLICATE else rejected != before - 1
        assert progress.maybe_decrease(rejected, hint) == (not stale)
        if not stale and progress.state == State.REPLICATE:
            progress.become_probe()
            self.enter()
        elif not stale:
            self.probes = 0
            assert progress.next <= max(rejected, progress.match + 1)

    @rule(index=st.integers(0, 40))
    def fall_out_of_the_log(self, index: int) -> None:
        self.progress.become_snapshot(index)
        self.enter()

    @precondition(lambda self: self.progress.state == State.SNAPSHOT)
    @rule()
    def install(self) -> None:
        self.progress.become_probe()
        self.enter()

    @rule(hint=st.integers(0, 40))
    def lose_a_tail(self, hint: int) -> None:
        self.progress.lost(hint)
        self.matched = min(self.matched, hint)
        self.enter()

    @invariant()
    def the_window_is_what_is_under_way(self) -> None:
        progress = self.progress
        assert progress.match == self.matched < progress.next
        assert progress.inflight_bytes == sum(size for _, size in self.sent)
        assert len(self.sent) <= MESSAGES
        assert self.probes <= 1
        if progress.state == State.REPLICATE:
            assert progress.paused == (len(self.sent) >= MESSAGES or progress.inflight_bytes >= BYTES)
        elif progress.state == State.SNAPSHOT:
            assert progress.paused


TestWindow = WindowMachine.TestCase
TestWindow.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

TERMS = st.lists(st.integers(1, 4), max_size=9).map(sorted)
FATES = st.lists(st.sampled_from(["deliver", "deliver", "deliver", "lose", "twice", "late"]), max_size=60)


def leads(terms: list[int]) -> Core:
    """Of a term later than all of its entries."""
    core = make(tuple(terms), term=5)
    core.campaign()
    drain(core)
    core.step(VoteReply(core.term, 3, 1, granted=True))
    assert core.is_leader
    return core


@settings(max_examples=300, deadline=None)
@given(TERMS, TERMS, st.integers(0, 9), FATES)
def test_5_3_any_two_logs_come_into_agreement_whatever_becomes_of_the_messages(
    held: list[int], other: list[int], common: int, fates: list[str]
) -> None:
    """The logs may part after `common` entries, then with terms of their own (log matching holds between them)."""
    common = min(common, len(held))
    tail = [term for term in other if term > max(held, default=0)] or [4 if 4 not in held else 3] * (len(other) % 3)
    if tail and (tail[0] < (held[common - 1] if common else 0) or set(tail) & set(held)):
        tail = []
    one = leads(held)
    two = make((*held[:common], *tail), term=5, member=2, commit=0)
    mail: list[PeerMessage] = []
    chance = iter(fates)
    for _ in range(60):
        one.tick()
        mail += [m for m in drain(one) if m.target == 2] + drain(two)
        waiting, mail = mail, []
        for message in waiting:
            fate = next(chance, "deliver")
            if fate == "late":
                mail.append(message)
            for _ in range({"deliver": 1, "twice": 2}.get(fate, 0)):
                (two if message.target == 2 else one).step(message)
    assert terms_of(two) == terms_of(one)
    assert two.log.committed == one.log.committed == one.log.last_index


@settings(max_examples=200, deadline=None)
@given(TERMS, TERMS)
def test_5_3_a_refusal_skips_whole_terms(held: list[int], other: list[int]) -> None:
    """The number of refusals is bounded by the number of terms, not of entries."""
    other = [term + 10 for term in other]
    one, two = leads(held), make(tuple(other), term=20, member=2)
    one.become_follower(25, 0)
    one.campaign()
    drain(one)
    one.step(VoteReply(one.term, 3, 1, granted=True))
    refusals = 0
    messages = [m for m in drain(one) if m.target == 2]
    while only(messages, Append):
        for message in only(messages, Append):
            two.step(message)
        replies = only(drain(two), AppendReply)
        refusals += sum(reply.rejected for reply in replies)
        for reply in replies:
            one.step(reply)
        messages = [m for m in drain(one) if m.target == 2]
    assert terms_of(two) == terms_of(one)
    assert refusals <= len(set(held)) + len(set(other)) + 1
