"""The receiving side of one snapshot stream, without I/O: what to say, what came, and whether it is whole."""

import hashlib

import msgspec

from zetcd.base import errors as etcd
from zetcd.session.call import decode_error
from zetcd.session.errors import Error
from zetcd.session.lane import encode
from zetcd.wire import client as wire
from zetcd.wire.replies import SnapshotReply

WINDOW_CHUNKS = 32
"""Chunks (32 KiB) under way: 1 MiB."""
GRANT_CHUNKS = 8
ADDRESS = b"snapshot"

_decode = msgspec.msgpack.Decoder(SnapshotReply).decode


class Receiver:
    """`first` begins; each reply goes to `on_body`, whose frames are to be sent. done: see `SnapshotReply`."""

    def __init__(self) -> None:
        self.revision = 0
        self.done = False
        self.received = 0
        self.digest = b""
        self._sum = hashlib.sha256()
        self._taken = 0

    @property
    def first(self) -> list[bytes]:
        """The request."""
        return [ADDRESS, encode(wire.SnapshotRequest(WINDOW_CHUNKS))]

    def on_body(self, body: bytes) -> tuple[bytes, list[bytes] | None]:
        """The bytes that one reply brought, and frames to send, if any. Raises Error: the stream ended otherwise than
        it should, or its checksum does not hold."""
        try:
            reply = _decode(body)
        except msgspec.MsgspecError:
            error = decode_error(body).error
            if error is None:
                raise Error(etcd.INTERNAL, "zetcd: reply does not decode") from None
            raise Error(error.code, error.message) from None
        self.revision = reply.header.revision
        if reply.done:
            if reply.blob != self._sum.digest():
                raise Error(etcd.DATA_LOSS, "zetcd: the snapshot's checksum does not hold")
            self.done = True
            self.digest = reply.blob
            return b"", None
        self._sum.update(reply.blob)
        self.received += len(reply.blob)
        self._taken += bool(reply.blob)
        if self._taken < GRANT_CHUNKS or not reply.remaining_bytes:
            return reply.blob, None
        grant, self._taken = self._taken, 0
        return reply.blob, [ADDRESS, encode(wire.SnapshotCreditRequest(grant))]
