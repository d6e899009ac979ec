"""What go-grpc-prometheus counts in etcd: calls begun and ended, messages in and out, by method and code; and what etcd
counts itself: calls by the version of the API that their clients name.

Methods are wrapped once, so it counts what came as gRPC and what came as JSON alike, as etcd does.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from google.protobuf.message import Message

from zetcd.base import limits
from zetcd.base.errors import CANCELED, DEADLINE_EXCEEDED, OK
from zetcd.gateway.rpc import Call, Inbound, Method, Methods, RpcError, Stream, Streaming, Unary

NAMES = (
    "OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied ResourceExhausted "
    "FailedPrecondition Aborted OutOfRange Unimplemented Internal Unavailable DataLoss Unauthenticated"
)
CODES = dict(enumerate(NAMES.split()))


_VERSION = re.compile(r"[\w.+-]{1,32}", re.ASCII)


class Clients:
    """Calls by (kind, what the client calls its version)."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def count(self, kind: str, metadata: Mapping[str, str]) -> None:
        """One more."""
        key = (kind, metadata.get("client-api-version", "unknown"))
        if key not in self.counts:
            if len(self.counts) >= limits.CLIENT_VERSIONS_COUNTED_MAX or not _VERSION.fullmatch(key[1]):
                key = (kind, "unknown")
            self.counts.setdefault(key, 0)
        self.counts[key] += 1

    def series(self) -> dict[str, float]:
        """By their names in /metrics."""
        return {
            f'etcd_server_client_requests_total{{client_api_version="{version}",type="{kind}"}}': count
            for (kind, version), count in self.counts.items()
        }


class Row:
    """The counts of one method; clients: those of all."""

    __slots__ = ("clients", "handled", "labels", "received", "sent", "started")

    def __init__(self, path: str, method: Method, clients: Clients) -> None:
        self.clients = clients
        service, _, name = path.removeprefix("/").rpartition("/")
        kind = "unary"
        if isinstance(method, Streaming):
            kinds = {(True, True): "bidi_stream", (False, True): "server_stream"}
            kind = kinds.get((method.client_streams, method.server_streams), "client_stream")
        self.labels = f'grpc_method="{name}",grpc_service="{service}",grpc_type="{kind}"'
        self.started = self.received = self.sent = 0
        self.handled: dict[int, int] = {OK: 0}

    def end(self, code: int) -> None:
        """A call has ended so."""
        self.handled[code] = self.handled.get(code, 0) + 1

    def series(self) -> Mapping[str, float]:
        """By their names in /metrics."""
        found: dict[str, float] = {
            f"grpc_server_started_total{{{self.labels}}}": self.started,
            f"grpc_server_msg_received_total{{{self.labels}}}": self.received,
            f"grpc_server_msg_sent_total{{{self.labels}}}": self.sent,
        }
        for code, count in self.handled.items():
            labels = f'grpc_code="{CODES.get(code, "Unknown")}",{self.labels}'
            found[f"grpc_server_handled_total{{{labels}}}"] = count
        return found


def counted(methods: Methods) -> tuple[Methods, Callable[[], Mapping[str, float]]]:
    """The same methods, counting; and their series."""
    clients = Clients()
    rows = {path: Row(path, method, clients) for path, method in methods.items()}
    wrapped: dict[str, Method] = {}
    for path, method in methods.items():
        if isinstance(method, Unary):
            wrapped[path] = method._replace(start=partial(_start, method.start, rows[path]))
        else:
            wrapped[path] = method._replace(open=partial(_open, method.open, rows[path]))

    def series() -> Mapping[str, float]:
        by_method = {name: count for row in rows.values() for name, count in row.series().items()}
        return by_method | clients.series()

    return wrapped, series


def _start(start: Callable[[Message, Call], None], row: Row, request: Message, call: Call) -> None:
    row.started += 1
    row.received += 1
    row.clients.count("unary", call.metadata)
    try:
        start(request, CountedCall(call, row))
    except RpcError as error:
        row.end(error.code)
        raise


def _open(open_: Callable[[Stream], Inbound], row: Row, stream: Stream) -> Inbound:
    row.started += 1
    row.clients.count("stream", stream.metadata)
    counted_stream = CountedStream(stream, row)
    try:
        return CountedInbound(open_(counted_stream), counted_stream)
    except RpcError as error:
        counted_stream.end(error.code)
        raise


def _abandoned(deadline: float | None) -> int:
    """Why a call that nobody waits for any more has ended."""
    late = deadline is not None and asyncio.get_running_loop().time() >= deadline
    return DEADLINE_EXCEEDED if late else CANCELED


class CountedCall:
    """`rpc.Call`, passed on. Its end is counted once: services answer once, and nothing follows a cancellation."""

    __slots__ = ("_call", "_row", "on_cancel")

    def __init__(self, call: Call, row: Row) -> None:
        self._call = call
        self._row = row
        self.on_cancel: Callable[[], None] | None = None
        call.on_cancel = self._cancelled

    @property
    def metadata(self) -> Mapping[str, str]:
        """See `rpc.Context`."""
        return self._call.metadata

    @property
    def deadline(self) -> float | None:
        """See `rpc.Context`."""
        return self._call.deadline

    @property
    def peer(self) -> str:
        """See `rpc.Context`."""
        return self._call.peer

    def reply(self, message: Message) -> None:
        """See `rpc.Call`."""
        row = self._row
        row.sent += 1
        row.handled[OK] += 1
        self._call.reply(message)

    def fail(self, error: RpcError) -> None:
        """See `rpc.Call`."""
        self._row.end(error.code)
        self._call.fail(error)

    def _cancelled(self) -> None:
        self._row.end(_abandoned(self._call.deadline))
        if self.on_cancel is not None:
            self.on_cancel()


class CountedStream:
    """`rpc.Stream`, passed on."""

    __slots__ = ("_ended", "_stream", "row")

    def __init__(self, stream: Stream, row: Row) -> None:
        self._stream = stream
        self._ended = False
        self.row = row

    @property
    def metadata(self) -> Mapping[str, str]:
        """See `rpc.Context`."""
        return self._stream.metadata

    @property
    def deadline(self) -> float | None:
        """See `rpc.Context`."""
        return self._stream.deadline

    @property
    def peer(self) -> str:
        """See `rpc.Context`."""
        return self._stream.peer

    def end(self, code: int) -> None:
        """It has ended, if it had not before."""
        if not self._ended:
            self._ended = True
            self.row.end(code)

    def send(self, message: Message) -> bool:
        """See `rpc.Stream`."""
        self.row.sent += 1
        return self._stream.send(message)

    def send_each(self, message: Message, field: str, values: Sequence[int]) -> bool:
        """See `rpc.Stream`."""
        self.row.sent += len(values)
        return self._stream.send_each(message, field, values)

    def finish(self) -> None:
        """See `rpc.Stream`."""
        self.end(OK)
        self._stream.finish()

    def fail(self, error: RpcError) -> None:
        """See `rpc.Stream`."""
        self.end(error.code)
        self._stream.fail(error)

    def pause(self) -> None:
        """See `rpc.Stream`."""
        self._stream.pause()

    def resume(self) -> None:
        """See `rpc.Stream`."""
        self._stream.resume()


class CountedInbound:
    """`rpc.Inbound`, passed on."""

    __slots__ = ("_inbound", "_stream")

    def __init__(self, inbound: Inbound, stream: CountedStream) -> None:
        self._inbound = inbound
        self._stream = stream

    def message(self, request: Message) -> None:
        """See `rpc.Inbound`."""
        self._stream.row.received += 1
        try:
            self._inbound.message(request)
        except RpcError as error:
            self._stream.end(error.code)
            raise

    def half_closed(self) -> None:
        """See `rpc.Inbound`."""
        self._inbound.half_closed()

    def cancelled(self) -> None:
        """See `rpc.Inbound`."""
        self._stream.end(_abandoned(self._stream.deadline))
        self._inbound.cancelled()

    def writable(self) -> None:
        """See `rpc.Inbound`."""
        self._inbound.writable()
