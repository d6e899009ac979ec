"""Which feed level apply has been asked for, and which one is certain.

Levels only rise at once; they fall after they have been too high for LINGER_MS, so that clients that come and go do
not cost a round trip each. While a lower level is on its way the lower one counts: a watch created in that moment waits
for a level of its own.
"""

from zetcd.wire.local import Subscribe, Subscribed

LINGER_MS = 10_000


class Subscription:
    """One hub's subscription to the feed of one life of apply."""

    __slots__ = ("_inflight", "_level", "_lower", "_too_high_since", "_up", "asked", "resync", "wanted")

    def __init__(self) -> None:
        self._inflight: dict[int, int] = {}  # serial -> level
        self.asked = -1
        self._level = -1
        self._lower = False
        self._too_high_since: int | None = None
        self._up = False
        self.resync = True  # the first Subscribed of this life has not come yet
        self.wanted = 0  # kept by the hub

    @property
    def certain(self) -> int:
        """Level that every frame from now on has at least; -1: none."""
        return min(self._level, *self._inflight.values()) if self._inflight else self._level

    def lost(self) -> None:
        """The link is gone."""
        self._inflight = {}
        self.asked = self._level = -1
        self._up = self._lower = False
        self._too_high_since = None
        self.resync = True

    def ready(self) -> None:
        """The link is open and apply has caught up."""
        self._up = True

    def take(self, serial: int) -> Subscribe | None:
        """What to ask for now; serial is fresh."""
        wanted = self.wanted
        if not self._up or wanted == self.asked or (wanted < self.asked and not self._lower):
            return None
        self.asked = wanted
        self._lower = False
        self._inflight[serial] = wanted
        return Subscribe(serial, wanted)

    def on_subscribed(self, message: Subscribed) -> bool:
        """Whether it answers a question of this life."""
        if self._inflight.pop(message.serial, None) is None:
            return False
        self._level = message.level
        return True

    def on_tick(self, now_ms: int) -> None:
        """Lower the level when it has been too high for long."""
        if self.wanted >= self.asked:
            self._too_high_since = None
        elif self._too_high_since is None:
            self._too_high_since = now_ms
        elif now_ms - self._too_high_since >= LINGER_MS:
            self._lower = True
