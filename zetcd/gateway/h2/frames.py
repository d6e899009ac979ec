"""Frames as bytes (RFC 9113 sections 4 and 6).

length 3 bytes | type 1 | flags 1 | stream id 4 (its first bit reserved) | payload of that length
"""

import struct

from zetcd.gateway.h2.codes import Code, ConnectionFault

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9
PAYLOAD_BYTES_MAX = 16_384  # we leave SETTINGS_MAX_FRAME_SIZE at its default, and send no longer frames either
WINDOW_MAX = 2**31 - 1
STREAM_ID_MAX = 2**31 - 1

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20

_HEAD = struct.Struct(">IBI")  # length << 8 | type, flags, stream id
read_head = _HEAD.unpack_from
pack_head = _HEAD.pack


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """One frame; payload at most PAYLOAD_BYTES_MAX bytes."""
    return pack_head(len(payload) << 8 | kind, flags, stream_id) + payload


def headers(stream_id: int, block: bytes, *, end: bool) -> bytes:
    """HEADERS, with CONTINUATIONs where the block is longer than a frame."""
    flags = END_STREAM if end else 0
    if len(block) <= PAYLOAD_BYTES_MAX:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    parts = [block[at : at + PAYLOAD_BYTES_MAX] for at in range(0, len(block), PAYLOAD_BYTES_MAX)]
    out = [frame(HEADERS, flags, stream_id, parts[0])]
    out += [frame(CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    out.append(frame(CONTINUATION, END_HEADERS, stream_id, parts[-1]))
    return b"".join(out)


def rst_stream(stream_id: int, code: int) -> bytes:
    """RST_STREAM."""
    return pack_head(4 << 8 | RST_STREAM, 0, stream_id) + code.to_bytes(4, "big")


def window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE; stream 0 is the connection."""
    return pack_head(4 << 8 | WINDOW_UPDATE, 0, stream_id) + increment.to_bytes(4, "big")


def ping(opaque: bytes, *, ack: bool) -> bytes:
    """PING with its 8 bytes."""
    return frame(PING, ACK if ack else 0, 0, opaque)


def goaway(last_stream_id: int, code: int, reason: bytes) -> bytes:
    """GOAWAY; reason is what grpc clients show."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last_stream_id, code) + reason)


def settings(values: list[tuple[int, int]]) -> bytes:
    """SETTINGS with these (identifier, value)."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in values))


SETTINGS_ACK = frame(SETTINGS, ACK, 0, b"")


def unpadded(payload: bytes) -> bytes:
    """The payload of a PADDED frame without pad length and padding. Raises ConnectionFault."""
    if not payload:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "no pad length")
    pad = payload[0]
    if pad >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "padding longer than its frame")
    return payload[1 : len(payload) - pad]


def check_priority(fields: bytes) -> None:
    """The five bytes of a priority, which mean nothing any more. Raises ConnectionFault."""
    if len(fields) != 5:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "priority of broken length")
