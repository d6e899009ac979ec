"""SETTINGS (RFC 9113 section 6.5): what the client told, and what we tell it."""

import struct

from zetcd.gateway.h2 import frames
from zetcd.gateway.h2.codes import Code, ConnectionFault

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    1, 2, 3, 4, 5, 6,
)  # fmt: skip
HEADER_TABLE_BYTES = 4_096
WINDOW_BYTES = 65_535
_PAIR = struct.Struct(">HI")


class PeerSettings:
    """The values in force at the client that a server which pushes nothing and sends short frames has to heed."""

    __slots__ = ("initial_window",)

    def __init__(self) -> None:
        self.initial_window = WINDOW_BYTES


def parse(payload: bytes) -> list[tuple[int, int]]:
    """(identifier, value) in their order, unknown ones included. Raises ConnectionFault for what is out of range."""
    if len(payload) % _PAIR.size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "SETTINGS of broken length")
    values = list(_PAIR.iter_unpack(payload))
    for name, value in values:
        if name == ENABLE_PUSH and value > 1:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        if name == INITIAL_WINDOW_SIZE and value > frames.WINDOW_MAX:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE above 2^31-1")
        if name == MAX_FRAME_SIZE and not 16_384 <= value < 2**24:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range")
    return values
