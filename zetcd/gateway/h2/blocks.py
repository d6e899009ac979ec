"""Header blocks: put together from HEADERS and CONTINUATION, and decoded, once for each distinct one."""

from zetcd.base import limits
from zetcd.gateway.h2 import frames
from zetcd.gateway.h2.codes import Code, ConnectionFault
from zetcd.gateway.h2.fields import Decoder, Field
from zetcd.gateway.h2.head import Head

_WRAPPED = frames.PADDED | frames.WITH_PRIORITY


class Blocks:
    """Of one connection."""

    __slots__ = ("_block", "_decoder", "_end", "_frames", "_generation", "_heads", "awaited")

    def __init__(self) -> None:
        self._decoder = Decoder(limits.GATEWAY_HEADERS_BYTES_MAX)
        self._heads: dict[bytes, Head] = {}
        self._generation = 0
        self.awaited = 0
        """The stream whose CONTINUATION must come next; 0: none."""
        self._block = bytearray()
        self._end = False
        self._frames = 0

    def begin(self, flags: int, stream_id: int, payload: bytes) -> bytes | None:
        """A HEADERS frame. Returns the block if that is all of it."""
        if flags & _WRAPPED:
            payload = _unwrapped(flags, payload)
        if flags & frames.END_HEADERS:
            return payload
        if not stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "HEADERS on stream 0")
        self.awaited = stream_id
        self._block = bytearray(payload)
        self._end = flags & frames.END_STREAM != 0
        self._frames = 0
        return None

    def go_on(self, flags: int, stream_id: int, payload: bytes) -> tuple[bytes, bool] | None:
        """A CONTINUATION frame. Returns the block, and whether its HEADERS said END_STREAM, if that completes it."""
        if not stream_id or self.awaited != stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._block += payload
        self._frames += 1
        if len(self._block) > limits.GATEWAY_HEADERS_BYTES_MAX or self._frames > limits.GATEWAY_CONTINUATIONS_MAX:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "header block too large")
        if not flags & frames.END_HEADERS:
            return None
        self.awaited = 0
        block, self._block = bytes(self._block), bytearray()
        return block, self._end

    def decode(self, block: bytes) -> Head | list[Field] | None:
        """A head that came before, or the fields; None: more than GATEWAY_HEADERS_BYTES_MAX of them."""
        if self._generation != self._decoder.generation:
            # Some block since then, be it of trailers or of a refused request, has changed what references mean.
            self._generation = self._decoder.generation
            self._heads.clear()
        return self._heads.get(block) or self._decoder.decode(block)

    def keep(self, block: bytes, head: Head) -> Head:
        """Remember that the block just decoded means head, unless it changed the table itself."""
        if self._generation == self._decoder.generation:
            if len(self._heads) >= limits.GATEWAY_HEADS_KEPT:
                self._heads.clear()
            self._heads[block] = head
        return head


def _unwrapped(flags: int, payload: bytes) -> bytes:
    if flags & frames.PADDED:
        payload = frames.unpadded(payload)
    if flags & frames.WITH_PRIORITY:
        frames.check_priority(payload[:5])
        payload = payload[5:]
    return payload
