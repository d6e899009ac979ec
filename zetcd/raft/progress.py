"""What a leader knows of one other member's log, and how much it may send (etcd-io/raft `tracker`).

PROBE      one Append at a time, until the first match is known
REPLICATE  Appends in flight up to a window of messages and bytes; next runs ahead of match
SNAPSHOT   the log no longer holds what the member needs: nothing is sent until a snapshot has arrived

PROBE --match--> REPLICATE --refusal, silence--> PROBE;   any --entry gone--> SNAPSHOT --installed or failed--> PROBE
"""

import enum
from collections import deque


class State(enum.IntEnum):
    """See the module."""

    PROBE, REPLICATE, SNAPSHOT = 0, 1, 2


class Progress:
    """match: highest entry known to be held durably; next: the entry to send next; active: heard of within the current
    election timeout (CheckQuorum); waiting: a probe is out; moved: something was acknowledged since the last tick."""

    __slots__ = (
        "_bytes_max",
        "_inflight",
        "_messages_max",
        "active",
        "commit_sent",
        "inflight_bytes",
        "match",
        "moved",
        "next",
        "snapshot",
        "state",
        "waiting",
    )

    def __init__(self, following: int, messages_max: int, bytes_max: int) -> None:
        self.match = 0
        self.next = following
        self.state = State.PROBE
        self.active = False
        self.waiting = False
        self.moved = False
        self.snapshot = 0  # index that a snapshot under way must reach before replication goes on
        self.commit_sent = 0
        self.inflight_bytes = 0
        self._inflight: deque[tuple[int, int]] = deque()  # (last index, bytes) of each Append
        self._messages_max = messages_max
        self._bytes_max = bytes_max

    @property
    def paused(self) -> bool:
        """Whether nothing may be sent now."""
        if self.state == State.REPLICATE:
            return len(self._inflight) >= self._messages_max or self.inflight_bytes >= self._bytes_max
        return self.waiting or self.state == State.SNAPSHOT

    def become_probe(self) -> None:
        """Start over from what is known to match; after a snapshot, from that."""
        self.next = max(self.match + 1, self.snapshot + 1 if self.state == State.SNAPSHOT else 0)
        self._become(State.PROBE)

    def become_replicate(self) -> None:
        """Send ahead of the answers."""
        self._become(State.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """Wait for a snapshot at index or later."""
        self._become(State.SNAPSHOT)
        self.snapshot = index

    def _become(self, state: State) -> None:
        self.state = state
        self.waiting = False
        self.snapshot = 0
        self.inflight_bytes = 0
        self._inflight.clear()

    def sent(self, last: int, size: int) -> None:
        """An Append with entries up to last was sent; without entries last is the one before next."""
        if self.state == State.REPLICATE:
            if last < self.next:
                return
            self.next = last + 1
            self._inflight.append((last, size))
            self.inflight_bytes += size
        else:
            self.waiting = True

    def maybe_update(self, index: int) -> bool:
        """The member holds everything up to index; whether that is news."""
        news = index > self.match
        if news:
            self.match = index
            self.waiting = False
            self.moved = True
        self.next = max(self.next, index + 1)
        inflight = self._inflight
        while inflight and inflight[0][0] <= index:
            self.inflight_bytes -= inflight.popleft()[1]
        return news

    def maybe_decrease(self, rejected: int, hint: int) -> bool:
        """The member refused an Append after entry `rejected`; hint: where the logs may agree. Whether the refusal is
        of the present and not a late answer to an earlier Append."""
        if self.state == State.REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
            return True
        if self.next - 1 != rejected:
            return False
        self.next = max(min(rejected, hint + 1), self.match + 1, 1)
        self.waiting = False
        return True

    def lost(self, hint: int) -> None:
        """The member does not hold any more what it acknowledged (rule 2): start over from where the logs may agree."""
        self.match = min(self.match, hint)
        self._become(State.PROBE)
        self.next = self.match + 1

    def heard(self) -> bool:
        """A heartbeat was answered; whether what was sent before may have been lost: no answer to it since the last
        tick. Then a probe goes out again, and a full window deserves one more try. Once a tick: rounds of reads are
        many, and each would let more out."""
        self.active = True
        if self.moved:
            return False
        self.moved = True
        self.waiting = False
        if self.state == State.REPLICATE and self.paused and self._inflight:
            self.inflight_bytes -= self._inflight.popleft()[1]
        return True
