"""One connection: frames in, callbacks to the application, and frames out, gathered until the owner takes them.

The owner gives `receive` what the client sent, writes what `take` returns once a turn, says when the client does not
read (`congested`), and calls `tick` when time has passed. Nothing here waits, and whatever a client sends ends in an
answer or in a GOAWAY, never in an exception.
"""

from collections import deque
from collections.abc import Callable
from typing import ClassVar, Protocol

from zetcd.base import limits
from zetcd.gateway.h2 import frames, settings
from zetcd.gateway.h2.blocks import Blocks
from zetcd.gateway.h2.codes import Code, ConnectionFault, StreamFault
from zetcd.gateway.h2.fields import NO_TABLE, Field
from zetcd.gateway.h2.head import Head, Malformed, are_trailers
from zetcd.gateway.h2.ids import Ids
from zetcd.gateway.h2.policing import Allowance, Keepalive, Pings, Policy
from zetcd.gateway.h2.stream import IGNORES, Handler, Stream
from zetcd.gateway.held import Held

GRACE_PING = b"goodbye!"
KEEPALIVE_PING = b"are you?"
WINDOW_STEP = limits.GATEWAY_CONNECTION_WINDOW_BYTES // 2
USEFUL = 4
"""Frames that a client may send for each DATA frame it gets or request it makes, without it counting as a flood."""


class Application(Protocol):
    """Who answers the requests of a connection."""

    def on_request(self, stream: Stream, head: Head) -> Handler:
        """A request's head. The handler gets the body, and its end even if there is none."""


class Connection:
    """See the module. wake: called when there is output and nobody has asked for it yet."""

    __slots__ = (
        "_app", "_awake", "_blocks", "_control", "_ids", "_keepalive", "_now", "_out", "_out_bytes", "_owed",
        "_peer", "_pings", "_policy", "_preface", "_ready", "_receive_window", "_resets", "_rest", "_wake",
        "closing", "congested", "goaway_received", "held", "streams", "table_update_due", "window",
    )  # fmt: skip

    def __init__(
        self, app: Application, wake: Callable[[], None], now: float, policy: Policy, held: Held | None = None
    ) -> None:
        self._app = app
        self._wake = wake
        self._policy = policy
        self._peer = settings.PeerSettings()
        self._blocks = Blocks()
        self._ids = Ids()
        self._pings = Pings(policy)
        self._keepalive = Keepalive(policy, now)
        self._control = Allowance(limits.GATEWAY_CONTROL_FRAMES_MAX, limits.GATEWAY_CONTROL_FRAMES_PER_S, now)
        self._resets = Allowance(limits.GATEWAY_RESETS_MAX, limits.GATEWAY_RESETS_PER_S, now)
        self._now = now
        self._rest = b""
        self._preface = False  # both the preface and the first SETTINGS have come
        self._receive_window = settings.WINDOW_BYTES
        self._owed = limits.GATEWAY_CONNECTION_WINDOW_BYTES - settings.WINDOW_BYTES
        self._ready: deque[Stream] = deque()
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._awake = False
        self.streams: dict[int, Stream] = {}
        self.window = settings.WINDOW_BYTES
        self.held = held or Held(limits.GATEWAY_UNSENT_BYTES_MAX)
        """Bytes of bodies that wait in streams."""
        self.congested = False
        """The client does not read: DATA waits."""
        self.closing = False
        """A GOAWAY that ends the connection has been queued: write it and close."""
        self.goaway_received = False
        self.table_update_due = False
        values = [
            (settings.MAX_CONCURRENT_STREAMS, policy.streams_max),
            (settings.INITIAL_WINDOW_SIZE, limits.GATEWAY_STREAM_WINDOW_BYTES),
            (settings.MAX_HEADER_LIST_SIZE, limits.GATEWAY_HEADERS_BYTES_MAX),
        ]
        self.put(frames.settings(values))
        self._replenish()

    @property
    def unsent(self) -> int:
        """Bytes of bodies that wait in streams."""
        return self.held.bytes

    # -- what the owner calls ---------------------------------------------------------------------
    def receive(self, data: bytes, now: float) -> None:
        """Bytes of the client, cut anywhere."""
        if self.closing:
            return
        self._now = now
        self._keepalive.heard = now
        self._awake = True  # the owner looks for output when this returns
        try:
            self._frames(self._rest + data if self._rest else data)
        except ConnectionFault as fault:
            self.abort(fault.code, fault.reason)
        finally:
            self._awake = False
        if self._out_bytes > limits.GATEWAY_UNREAD_BYTES_MAX:
            self.abort(Code.ENHANCE_YOUR_CALM, "answers are not read")

    @property
    def has_output(self) -> bool:
        """Whether `take` would return something."""
        return not self.congested and bool(self._out or (self._ready and self.window > 0))

    @property
    def full(self) -> bool:
        """Never: window updates must be read while bodies wait."""
        return False

    def take(self) -> bytes:
        """What is to be written now: up to GATEWAY_WRITE_BYTES of DATA, and all other frames."""
        self._awake = True
        if self._ready:
            self._pump()
        self._awake = False
        out, self._out = self._out, []
        self._out_bytes = 0
        return b"".join(out) if len(out) != 1 else out[0]

    def tick(self, now: float) -> float:
        """Send our keepalive ping, or give the client up. Returns when to call again; meaningless once closing."""
        self._now = now
        ping, gone, again = self._keepalive.tick(now)
        if ping:
            self.put(frames.ping(KEEPALIVE_PING, ack=False))
        if gone:
            self.abort(Code.NO_ERROR, "keepalive timeout")
        return again

    def close(self) -> None:
        """Take no further requests: the client goes elsewhere with those it makes from now on.

        GOAWAY and a ping first; the answer to the ping shows which requests the client had made before it knew.
        """
        if not self.closing and self._ids.final == frames.STREAM_ID_MAX:
            self.put(frames.goaway(frames.STREAM_ID_MAX, Code.NO_ERROR, b"graceful_stop"))
            self.put(frames.ping(GRACE_PING, ack=False))

    @property
    def finished(self) -> bool:
        """Nothing is under way and nothing can come: close the transport."""
        if self.streams:
            return False
        return self.closing or self._ids.final < frames.STREAM_ID_MAX or self.goaway_received

    def abort(self, code: Code, reason: str) -> None:
        """GOAWAY, and the end of all streams."""
        if not self.closing:
            self.put(frames.goaway(self._ids.last, code, reason.encode()))
            self.lost()

    def lost(self) -> None:
        """The connection is gone: so is every stream."""
        self.closing = True
        streams, self.streams = self.streams, {}
        self._ready.clear()
        for stream in streams.values():
            self._drop(stream).on_reset()

    # -- what streams call ------------------------------------------------------------------------
    def put(self, data: bytes) -> None:
        """Queue frames."""
        self._out.append(data)
        if self.congested:
            self._out_bytes += len(data)
        if not self._awake:
            self._awake = True
            self._wake()

    def fresh(self, block: bytes) -> bytes:
        """The block as the next one: told once is that we use no table, if the client has made it smaller."""
        self._pings.forgiven = True
        if self.table_update_due:
            self.table_update_due = False
            return NO_TABLE + block
        return block

    def sent_data(self) -> None:
        """A DATA frame went out: the client may answer it with a few frames that mean nothing by themselves."""
        self._pings.forgiven = True
        self._control.give(USEFUL)

    def schedule(self, stream: Stream) -> None:
        """It has something to send."""
        if stream.window > 0:
            stream.queued = True
            self._ready.append(stream)
            if not self._awake and self.window > 0 and not self.congested:
                self._awake = True
                self._wake()

    def close_stream(self, stream: Stream) -> None:
        """Our END_STREAM has been queued."""
        if not stream.remote_closed:
            # The answer is complete and the request is not: nobody will read the rest (RFC 9113 section 8.1).
            self._ids.reset(stream.id)
            self.put(frames.rst_stream(stream.id, Code.NO_ERROR))
        self._drop(stream)

    def reset_stream(self, stream: Stream, code: int) -> None:
        """RST_STREAM."""
        self._ids.reset(stream.id)
        self._drop(stream)
        self.put(frames.rst_stream(stream.id, code))

    def _drop(self, stream: Stream) -> Handler:
        """Forget the stream, and break the circle of stream and handler, which would wait for the garbage collector."""
        handler, stream.handler = stream.handler, IGNORES
        stream.open = False
        self.held.give(stream.pending_bytes)
        stream.pending_bytes = 0
        stream.pending.clear()
        self.streams.pop(stream.id, None)
        return handler

    # -- sending ----------------------------------------------------------------------------------
    def _pump(self) -> None:
        """DATA of the streams that have some, a frame each in turn."""
        ready = self._ready
        left = limits.GATEWAY_WRITE_BYTES
        drained = []
        while ready and left > 0 and self.window > 0:
            stream = ready.popleft()
            stream.queued = False
            if not stream.pending or stream.window <= 0:
                continue
            left -= stream.emit(self.window)
            if stream.pending and stream.window > 0:
                stream.queued = True
                ready.append(stream)
            if stream.drained():
                drained.append(stream)
        for stream in drained:
            if stream.open:
                stream.handler.on_writable()

    def _replenish(self) -> None:
        self._receive_window += self._owed
        self.put(frames.window_update(0, self._owed))
        self._owed = 0

    # -- receiving --------------------------------------------------------------------------------
    def _frames(self, buffer: bytes) -> None:
        at, end = 0, len(buffer)
        if not self._preface:
            at = self._begin(buffer)
            if at < 0:
                return
        read, most, handlers = frames.read_head, frames.PAYLOAD_BYTES_MAX, self._HANDLERS
        while end - at >= 9:
            word, flags, stream_id = read(buffer, at)
            stop = at + 9 + (word >> 8)
            if stop - at - 9 > most:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "frame above SETTINGS_MAX_FRAME_SIZE")
            if stop > end:
                break
            kind = word & 0xFF
            if self._blocks.awaited and kind != frames.CONTINUATION:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "header block interrupted")
            try:
                if kind < len(handlers):
                    handlers[kind](self, flags, stream_id & 0x7FFFFFFF, buffer[at + 9 : stop])
                else:
                    self._nuisance()  # of an unknown type: to be ignored
            except StreamFault as fault:
                self._reset(fault)
            if self.closing:
                return
            at = stop
        self._rest = buffer[at:] if at else buffer

    def _begin(self, buffer: bytes) -> int:
        """The preface and the SETTINGS behind it. Returns where frames begin; -1: more is to come."""
        preface = frames.PREFACE
        if buffer[: len(preface)] != preface[: len(buffer)]:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "bad connection preface")
        if len(buffer) < len(preface) + frames.HEADER_BYTES:
            self._rest = buffer
            return -1
        word, flags, _ = frames.read_head(buffer, len(preface))
        if word & 0xFF != frames.SETTINGS or flags & frames.ACK:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        self._preface = True
        return len(preface)

    def _reset(self, fault: StreamFault) -> None:
        self._ids.reset(fault.stream_id)
        self.put(frames.rst_stream(fault.stream_id, fault.code))
        stream = self.streams.get(fault.stream_id)
        if stream is not None:
            self._drop(stream).on_reset()

    def _nuisance(self) -> None:
        if not self._control.take(self._now):
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too many frames without use")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        # Given back at once: a stream that is not read holds up itself, by its own window, and no other.
        self._owed += size
        if self._owed >= WINDOW_STEP:
            self._replenish()
        stream = self.streams.get(stream_id)
        if stream is None:
            self._late(stream_id)
            return
        if stream.remote_closed:
            raise StreamFault(stream_id, Code.STREAM_CLOSED)
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFault(stream_id, Code.FLOW_CONTROL_ERROR)
        if flags & frames.PADDED:
            payload = frames.unpadded(payload)
        if not flags & frames.END_STREAM:
            if not payload:
                self._nuisance()
            if stream.body_left is not None:
                self._body(stream, len(payload), end=False)
            stream.received(size)
            stream.handler.on_data(payload, False)
            return
        if stream.body_left is not None:
            self._body(stream, len(payload), end=True)
        stream.remote_closed = True
        stream.handler.on_data(payload, True)

    def _body(self, stream: Stream, size: int, *, end: bool) -> None:
        """The DATA must be as long as content-length said (RFC 9113 section 8.1.1)."""
        assert stream.body_left is not None
        stream.body_left -= size
        if stream.body_left < 0 or (end and stream.body_left):
            raise StreamFault(stream.id, Code.PROTOCOL_ERROR)

    def _late(self, stream_id: int) -> None:
        """A frame on a stream that is not open. Returns where RFC 9113 section 5.1 lets it be ignored."""
        self._nuisance()
        self._ids.check_late(stream_id)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._blocks.begin(flags, stream_id, payload)
        if block is not None:
            self._headers(stream_id, block, flags & frames.END_STREAM != 0)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        complete = self._blocks.go_on(flags, stream_id, payload)
        if complete is not None:
            self._headers(stream_id, *complete)

    def _headers(self, stream_id: int, block: bytes, end: bool) -> None:
        # Whatever becomes of the request, its block is decoded: later ones refer to the same table.
        decoded = self._blocks.decode(block)
        ids = self._ids
        if stream_id in self.streams:
            self._trailers(self.streams[stream_id], decoded, end)
            return
        if not ids.is_new(stream_id):
            self._late(stream_id)
            return
        ids.open(stream_id)
        if stream_id > ids.final:
            return
        if len(self.streams) >= self._policy.streams_max or self.unsent > limits.GATEWAY_UNSENT_BYTES_MAX:
            raise StreamFault(stream_id, Code.REFUSED_STREAM)
        try:
            head = decoded if isinstance(decoded, Head) else self._blocks.keep(block, Head(decoded))
        except Malformed as malformed:
            raise StreamFault(stream_id, malformed.code) from None
        stream = Stream(self, stream_id, self._peer.initial_window, remote_closed=end)
        self.streams[stream_id] = stream
        if head.content_length is not None:
            stream.body_left = head.content_length
            if end and head.content_length:
                raise StreamFault(stream_id, Code.PROTOCOL_ERROR)
        self._control.give(USEFUL)
        stream.handler = self._app.on_request(stream, head)
        if end and stream.open:
            stream.handler.on_data(b"", True)

    def _trailers(self, stream: Stream, decoded: Head | list[Field] | None, end: bool) -> None:
        if stream.remote_closed:
            raise StreamFault(stream.id, Code.STREAM_CLOSED)
        # Trailers end the body; and a head has pseudo-fields, which they may not have.
        if not end or isinstance(decoded, Head) or not are_trailers(decoded):
            raise StreamFault(stream.id, Code.PROTOCOL_ERROR)
        if stream.body_left is not None:
            self._body(stream, 0, end=True)
        stream.remote_closed = True
        stream.handler.on_data(b"", True)

    def _on_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._nuisance()
        if not stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "PRIORITY on stream 0")
        frames.check_priority(payload)

    def _on_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "RST_STREAM of broken length")
        self._ids.check_used(stream_id)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._nuisance()
            return
        if not stream.started and not self._resets.take(self._now):
            # Each such request cost us work, and the client nothing.
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too many requests made and taken back")
        self._drop(stream).on_reset()

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "SETTINGS on a stream")
        self._nuisance()
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "SETTINGS ack with a payload")
            return
        for name, value in settings.parse(payload):
            if name == settings.INITIAL_WINDOW_SIZE:
                self._initial_window(value)
            elif name == settings.HEADER_TABLE_SIZE and value < settings.HEADER_TABLE_BYTES:
                self.table_update_due = True
        self.put(frames.SETTINGS_ACK)

    def _initial_window(self, value: int) -> None:
        delta = value - self._peer.initial_window
        self._peer.initial_window = value
        for stream in self.streams.values():
            stream.window += delta
            if stream.window > frames.WINDOW_MAX:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window grew above 2^31-1")
            if stream.pending and not stream.queued:
                self.schedule(stream)

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "PUSH_PROMISE of a client")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "PING of broken length")
        self._nuisance()
        if flags & frames.ACK:
            if payload == GRACE_PING:
                self._ids.final = min(self._ids.final, self._ids.last)
                self.put(frames.goaway(self._ids.last, Code.NO_ERROR, b""))
            return
        self.put(frames.ping(payload, ack=True))
        if self._pings.strike(self._now, calls=bool(self.streams)):
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too_many_pings")

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "GOAWAY of broken length")
        self._nuisance()
        self.goaway_received = True

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE of broken length")
        self._nuisance()
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if not stream_id:
            if not increment:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            self.window += increment
            if self.window > frames.WINDOW_MAX:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "window above 2^31-1")
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            self._ids.check_used(stream_id)
            return
        if not increment:
            raise StreamFault(stream_id, Code.PROTOCOL_ERROR)
        stream.window += increment
        if stream.window > frames.WINDOW_MAX:
            raise StreamFault(stream_id, Code.FLOW_CONTROL_ERROR)
        if stream.pending and not stream.queued:
            self.schedule(stream)

    _HANDLERS: ClassVar[tuple[Callable[["Connection", int, int, bytes], None], ...]] = (
        _on_data, _on_headers, _on_priority, _on_rst_stream, _on_settings,
        _on_push_promise, _on_ping, _on_goaway, _on_window_update, _on_continuation,
    )  # fmt: skip
