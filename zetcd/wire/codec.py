"""Bytes to typed messages and back, for local frames and for lists of events."""

import msgspec

from zetcd.base.errors import WireError
from zetcd.wire.local import Event, Frame

_encoder = msgspec.msgpack.Encoder()
_frames = msgspec.msgpack.Decoder(Frame)
_events = msgspec.msgpack.Decoder(list[Event])

encode = _encoder.encode


def decode_frame(data: bytes) -> Frame:
    """One frame of a local link. Raises WireError."""
    try:
        return _frames.decode(data)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(f"local frame of {len(data)} bytes: {error}") from None


def encode_events(events: list[Event]) -> msgspec.Raw:
    """Encoded once, shared by every receiver."""
    return msgspec.Raw(_encoder.encode(events))


def decode_events(raw: msgspec.Raw) -> list[Event]:
    """Inverse of `encode_events`. Raises WireError."""
    try:
        return _events.decode(raw)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(f"events: {error}") from None
