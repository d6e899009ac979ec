"""What went to and came from one other member, for /metrics."""

from dataclasses import dataclass, field

from zetcd.base.meter import Meter

_BOUNDS = tuple(0.0001 * 2**at for at in range(16))  # s, etcd's


@dataclass(slots=True)
class PeerTraffic:
    """cut: connections that broke; round_trips: from a heartbeat that leaves to the first answer to any."""

    sent_bytes: int = 0
    received_bytes: int = 0
    unsent: int = 0
    cut: int = 0
    round_trips: Meter = field(default_factory=lambda: Meter(_BOUNDS))
    _asked_ns: int = 0

    def asked(self, now_ns: int) -> None:
        """A heartbeat has left. While one waits for an answer the others are not looked at."""
        if not self._asked_ns:
            self._asked_ns = now_ns

    def answered(self, now_ns: int) -> None:
        """One was answered."""
        if self._asked_ns:
            self.round_trips.observe_ns(now_ns - self._asked_ns)
            self._asked_ns = 0

    def disconnected(self) -> None:
        """The connection broke, with whatever was on its way."""
        self.cut += 1
        self._asked_ns = 0
