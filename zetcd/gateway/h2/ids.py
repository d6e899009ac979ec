"""Stream ids that are no longer, or never were, in use (RFC 9113 sections 5.1 and 5.1.1)."""

from collections import deque

from zetcd.base import limits
from zetcd.gateway.h2 import frames
from zetcd.gateway.h2.codes import Code, ConnectionFault


class Ids:
    """Of one connection: odd, rising, each used once."""

    __slots__ = ("_reset", "_skipped", "final", "last")

    def __init__(self) -> None:
        self.last = 0
        """The highest that a request came on."""
        self.final = frames.STREAM_ID_MAX
        """No request above it is answered: we are closing."""
        self._skipped: deque[range] = deque(maxlen=limits.GATEWAY_STREAMS_REMEMBERED)
        self._reset: deque[int] = deque(maxlen=limits.GATEWAY_STREAMS_REMEMBERED)

    def open(self, stream_id: int) -> None:
        """A request on an id above all others."""
        if stream_id != self.last + 2:
            self._skipped.append(range(self.last + 2, stream_id))
        self.last = stream_id

    def is_new(self, stream_id: int) -> bool:
        """Whether a request may come on it. Raises ConnectionFault for an id that never may."""
        if stream_id > self.last and stream_id & 1:
            return True
        if not stream_id & 1 or any(stream_id in gap for gap in self._skipped):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "stream id of the wrong kind, or lower than one before")
        return False

    def reset(self, stream_id: int) -> None:
        """We have reset it: what is on its way on it is no fault."""
        self._reset.append(stream_id)

    def check_used(self, stream_id: int) -> None:
        """Raises ConnectionFault for a stream that is idle."""
        if not stream_id & 1 or stream_id > self.last:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "frame on an idle stream")

    def check_late(self, stream_id: int) -> None:
        """A frame came on a stream that is not open. Raises ConnectionFault unless it may have been on its way."""
        self.check_used(stream_id)
        resets = self._reset
        forgotten = len(resets) == resets.maxlen and stream_id < resets[0]
        if not forgotten and stream_id not in resets:
            raise ConnectionFault(Code.STREAM_CLOSED, "frame on a closed stream")
