"""What a client may do how often: pings, policed as by etcd's gRPC server, and frames that cost us more than it.

Time comes in as an argument, in seconds of one monotonic clock.
"""

from dataclasses import dataclass

from zetcd.base import limits


@dataclass(frozen=True, slots=True)
class Policy:
    """What flags set. streams_max: calls at once on a connection; times in seconds, 0: off.

    keepalive_min: the client pings no more often; keepalive_interval: a quiet client is pinged; keepalive_timeout: it
    then has so long to send anything.
    """

    streams_max: int = limits.GATEWAY_STREAMS_MAX
    keepalive_min: float = limits.KEEPALIVE_MIN_DEFAULT_MS / 1000
    keepalive_interval: float = limits.KEEPALIVE_INTERVAL_DEFAULT_MS / 1000
    keepalive_timeout: float = limits.KEEPALIVE_TIMEOUT_DEFAULT_MS / 1000


class Pings:
    """Strikes for pings of the client, as gRPC servers count them: more than PING_STRIKES_MAX end the connection.

    Sending headers or data forgives everything, for a client may probe the bandwidth with a ping for each answer.
    Without a call under way a ping is allowed once in PING_IDLE_MS.
    """

    __slots__ = ("_last", "_min", "_strikes", "forgiven")

    def __init__(self, policy: Policy) -> None:
        self._min = policy.keepalive_min
        self._last = float("-inf")
        self._strikes = 0
        self.forgiven = False

    def strike(self, now: float, *, calls: bool) -> bool:
        """A ping came. calls: some are under way. True: that is too many."""
        last, self._last = self._last, now
        if self.forgiven:
            self.forgiven = False
            self._strikes = 0
            return False
        if self._min and now < last + (self._min if calls else limits.PING_IDLE_MS / 1000):
            self._strikes += 1
        return self._strikes > limits.PING_STRIKES_MAX


class Allowance:
    """A bucket of `most` that refills by per_s: something costs one each; an empty bucket says no."""

    __slots__ = ("_left", "_most", "_per_s", "_since")

    def __init__(self, most: int, per_s: int, now: float) -> None:
        self._most = most
        self._per_s = per_s
        self._left: float = most
        self._since = now

    def take(self, now: float) -> bool:
        """One more. The clock is looked at only when the bucket seems empty."""
        self._left -= 1
        if self._left >= 0:
            return True
        self._left = min(self._most, self._left + (now - self._since) * self._per_s)
        self._since = now
        return self._left >= 0

    def give(self, count: int) -> None:
        """Useful work was done."""
        left = self._left + count
        self._left = min(self._most, left)


class Keepalive:
    """Our own pings to a client that is quiet."""

    __slots__ = ("_asked", "_interval", "_timeout", "heard")

    def __init__(self, policy: Policy, now: float) -> None:
        self._interval = policy.keepalive_interval
        self._timeout = policy.keepalive_timeout
        self._asked = 0.0  # when we pinged; 0: not since the client was last heard
        self.heard = now

    def tick(self, now: float) -> tuple[bool, bool, float]:
        """(send a ping, the client is gone, look again at that time)."""
        if not self._interval:
            return False, False, float("inf")
        if self._asked > self.heard:
            return False, now >= self._asked + self._timeout, self._asked + self._timeout
        if now >= self.heard + self._interval:
            self._asked = now
            return True, False, now + self._timeout
        return False, False, self.heard + self._interval
