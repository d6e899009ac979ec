"""The same exchanges through another implementation of HTTP/2 (`h2`) as client: it finds no fault in us, nor we in it.

Hypothesis draws what the client does with several streams at once, how the bytes are cut, how the windows are set, and
when the server answers; at the end each side has got every byte the other sent.
"""

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.gateway.h2.peer import Call, Peer
from zetcd.gateway.h2.codes import Code
from zetcd.gateway.h2.fields import encode
from zetcd.gateway.h2.policing import Policy

HEAD = encode([(b":status", b"200"), (b"x-long", b"v" * 300)])
TRAILERS = encode([(b"grpc-status", b"0")])

STEPS = st.lists(
    st.one_of(
        *[st.tuples(st.just("open"), st.integers(0, 5), st.booleans())] * 3,
        st.tuples(st.just("send"), st.integers(0, 9), st.integers(0, 70_000)),
        st.tuples(st.just("end"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.none()),
        st.tuples(st.just("answer"), st.integers(0, 9), st.integers(0, 200_000)),
        st.tuples(st.just("stream"), st.integers(0, 9), st.integers(0, 40_000)),
        st.tuples(st.just("reset"), st.integers(0, 9), st.none()),
        st.tuples(st.just("pause"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("ping"), st.just(0), st.none()),
        st.tuples(st.just("window"), st.integers(0, 100_000), st.none()),
        st.tuples(st.just("table"), st.sampled_from([0, 50, 4096, 10_000]), st.none()),
        st.tuples(st.just("exchange"), st.just(0), st.none()),
    ),
    min_size=15,
    max_size=60,
)


class Pair:
    """A client of the other implementation, and ours, with the wire between them."""

    def __init__(self, cut: int) -> None:
        self.peer = Peer(Policy(keepalive_min=0))
        self.cut = cut
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.client = h2.connection.H2Connection(config=config)
        self.client.initiate_connection()
        self.sent: dict[int, bytearray] = {}  # what the client sent, and what it got
        self.got: dict[int, bytearray] = {}
        self.queued: dict[int, bytearray] = {}
        self.ending: dict[int, bool] = {}
        self.over: dict[int, str] = {}
        self.heads: dict[int, tuple[bytes, bytes]] = {}
        self.answered: dict[int, bytearray] = {}
        self.gone: set[int] = set()
        self.told: set[int] = set()

    def call(self, number: int) -> Call | None:
        calls = [call for call in self.peer.calls if call.stream.open]
        return calls[number % len(calls)] if calls else None

    def stream(self, number: int) -> int | None:
        ids = [one for one in self.sent if one not in self.over and one not in self.gone]
        return ids[number % len(ids)] if ids else None

    def exchange(self) -> None:
        """Carry bytes both ways until neither has any."""
        while True:
            self._push()
            out = self.client.data_to_send()
            for at in range(0, len(out), self.cut):
                self.peer.connection.receive(out[at : at + self.cut], self.peer.now)
                assert not self.peer.connection.closing
            back = b""
            while self.peer.connection.has_output:
                back += self.peer.connection.take()
            if not out and not back:
                return
            for at in range(0, len(back), self.cut):
                for event in self.client.receive_data(back[at : at + self.cut]):
                    self._on(event)

    def _push(self) -> None:
        """Send what the windows let the client send."""
        for stream_id, data in self.queued.items():
            if stream_id in self.over or stream_id in self.gone:
                continue
            while data:
                room = min(self.client.local_flow_control_window(stream_id), self.client.max_outbound_frame_size)
                if not room:
                    break
                self.client.send_data(stream_id, bytes(data[:room]))
                del data[:room]
            if not data and self.ending.get(stream_id) is not None and stream_id not in self.told:
                self.told.add(stream_id)
                if self.ending[stream_id]:
                    self.client.send_headers(stream_id, [(b"x-trailer", b"%d" % stream_id)], end_stream=True)
                else:
                    self.client.end_stream(stream_id)

    def _on(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            self.got[event.stream_id] += event.data or b""
            assert event.flow_controlled_length is not None
            self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.over.setdefault(event.stream_id, "ended")
        elif isinstance(event, h2.events.StreamReset):
            code = "ended" if event.error_code == h2.errors.ErrorCodes.NO_ERROR else "reset"
            self.over.setdefault(event.stream_id, code)
        assert not isinstance(event, h2.events.ConnectionTerminated)

    def step(self, kind: str, number: int, detail: object) -> None:
        if kind == "open":
            stream_id = self.client.get_next_available_stream_id()
            path = b"/%d" % (number * 1000)
            # Nothing here keeps its place in the table: equal blocks may mean different things.
            fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", path)]
            self.client.send_headers(stream_id, [*fields, (b"n", b"%d" % number)], end_stream=bool(detail))
            self.heads[stream_id] = path, b"%d" % number
            self.sent[stream_id], self.got[stream_id], self.queued[stream_id] = bytearray(), bytearray(), bytearray()
            if detail:
                self.ending[stream_id] = False
                self.told.add(stream_id)
        elif kind in ("send", "end", "cancel"):
            self._client_does(kind, number, detail)
        elif kind in ("answer", "stream", "reset", "pause"):
            self._server_does(kind, number, detail)
        elif kind == "ping":
            self.client.ping(b"12345678")
        elif kind == "window":
            self.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: number})
        elif kind == "table":
            self.client.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: number})
        else:
            self.exchange()

    def _client_does(self, kind: str, number: int, detail: object) -> None:
        stream_id = self.stream(number)
        if stream_id is None:
            return
        if kind == "cancel":
            self.client.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
            self.gone.add(stream_id)
        elif stream_id not in self.ending:
            if kind == "end":
                self.ending[stream_id] = bool(detail)
            else:
                data = bytes([number]) * int(str(detail))
                self.queued[stream_id] += data
                self.sent[stream_id] += data

    def _server_does(self, kind: str, number: int, detail: object) -> None:
        call = self.call(number)
        if call is None:
            return
        stream = call.stream
        if kind == "pause":
            (stream.pause if detail else stream.resume)()
        elif kind == "reset":
            stream.reset(Code.INTERNAL_ERROR)
        elif not stream.finished:
            data = bytes([number + 100]) * int(str(detail))
            self.answered.setdefault(stream.id, bytearray()).extend(data)
            if kind == "answer" and not stream.started:
                stream.respond(HEAD, data, TRAILERS)
            else:
                stream.start(HEAD)
                stream.send(data)

    def finish(self) -> None:
        """Let everything end: nobody pauses, every answer is complete, every request too."""
        self.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
        for stream_id in self.sent:
            self.ending.setdefault(stream_id, False)
        for call in self.peer.calls:
            if call.stream.open:
                call.stream.resume()
        self.exchange()
        for call in self.peer.calls:
            call.stream.start(HEAD)
            call.stream.finish(TRAILERS)
        self.exchange()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, cut=st.sampled_from([7, 1000, 100_000]))
def test_another_implementation_and_ours_understand_each_other(steps: list[tuple[str, int, object]], cut: int) -> None:
    pair = Pair(cut)
    pair.exchange()
    for step in steps:
        pair.step(*step)
    pair.finish()
    calls = {call.stream.id: call for call in pair.peer.calls}
    assert calls.keys() == pair.sent.keys()
    assert not pair.peer.connection.streams
    assert not pair.peer.connection.unsent
    for stream_id, call in calls.items():
        assert (call.head.path, dict(call.head.fields)[b"n"]) == pair.heads[stream_id]
        assert pair.sent[stream_id].startswith(bytes(call.data))
        if call.ended:
            assert call.data == pair.sent[stream_id]
        if stream_id in pair.gone:
            continue
        answered = pair.answered.get(stream_id, bytearray())
        if pair.over[stream_id] == "ended":
            assert pair.got[stream_id] == answered
        else:
            assert answered.startswith(bytes(pair.got[stream_id]))
