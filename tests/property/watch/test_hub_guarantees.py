"""The nine watch guarantees of etcd's robustness tests, held against the hub under lost and blurred frames, pauses,
compactions, failed reads and restarts of apply: Filter, Ordered, Unique, Atomic, Bookmarkable, Resumable, Reliable,
PrevKV, IsCreate. They are design rule 16 as a client sees it."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.property.watch.store_twin import Apply, Store, decode_row
from zetcd.watch.hub import Hub, Woken
from zetcd.watch.ranges import contains
from zetcd.wire.client import WatchCancelRequest, WatchCreateRequest, WatchPollRequest
from zetcd.wire.local import Feed, Subscribed
from zetcd.wire.replies import EventMap, WatchPollReply, WatchReply

KEYS = [b"a", b"aa", b"ab", b"b", b"c"]
RANGES = [
    (b"a", b""),
    (b"a", b"b"),
    (b"aa", b"ab"),
    (b"", b""),
    (b"a", b"\0"),
    (b"ab", b"bz"),
    (b"b", b""),
    (b"\0", b"\0"),
]
keys = st.sampled_from(KEYS)
streams = st.sampled_from(["s0", "s1", "s2"])
Seen = list[tuple[int, bytes, int]]  # (revision, key, kind)


@dataclass
class Client:
    """What one watch has been told."""

    request: WatchCreateRequest
    start: int = 0
    created: bool = False
    over: int = -1  # compact revision of its cancellation
    bookmark: int = 0
    seen: Seen = field(default_factory=list)

    def want(self, store: Store, upto: int) -> Seen:
        request = self.request
        return matching(store, (request.key or b"\0", request.range_end), request.filters, self.start, upto)


def matching(store: Store, bounds: tuple[bytes, bytes], filters: list[int], start: int, upto: int) -> Seen:
    return [
        (event.revision, event.key, int(event.row is None))
        for event in store.events
        if start <= event.revision <= upto and contains(*bounds, event.key) and int(event.row is None) not in filters
    ]


def check_event(store: Store, event: EventMap, prev_kv: bool) -> tuple[int, bytes, int]:
    """PrevKV and IsCreate, and that the event happened."""
    [real] = [e for e in store.events if e.revision == event.kv.mod_revision and e.key == event.kv.key]
    assert event.type == int(real.row is None)
    if real.row is not None:
        assert event.kv == decode_row(real.key, real.row)
        assert (event.kv.create_revision == event.kv.mod_revision) == (event.kv.version == 1)
    prev = decode_row(real.key, real.prev) if real.prev is not None and prev_kv else None
    assert event.prev_kv == prev
    return real.revision, real.key, event.type


class HubMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.apply = Apply(self.store)
        self.hub = Hub(decode_row, progress_interval_ms=1_000, fragment_bytes=60)
        self.now = 0
        self.clients: dict[tuple[str, int], Client] = {}
        self.canceled_early: Counter[tuple[str, int]] = Counter()
        self.finished: list[Client] = []
        self.paused: set[str] = set()
        self.polls: dict[str, WatchPollRequest] = {}
        self.waits: dict[str, tuple[tuple[bytes, bytes], int, bool]] = {}
        self.tokens = 0
        self.flaky = False

    @initialize()
    def start(self) -> None:
        self.hub.ready()

    # -- the store and apply ---------------------------------------------------------------------------------------
    @rule(operations=st.lists(st.tuples(keys, st.sampled_from([b"x", b"y" * 20, None])), min_size=1, max_size=4))
    def write(self, operations: list[tuple[bytes, bytes | None]]) -> None:
        self.store.write(list(dict(operations).items()))

    @rule(how=st.sampled_from(["whole", "whole", "whole", "gap", "lost"]))
    def feed(self, how: str) -> None:
        self.apply.feed(gap=how == "gap", lose=how == "lost")

    @rule(
        operations=st.lists(st.tuples(keys, st.sampled_from([b"x", None])), min_size=1, max_size=3),
        how=st.sampled_from(["whole", "gap", "lost"]),
        frames=st.integers(1, 6),
    )
    def write_and_feed(self, operations: list[tuple[bytes, bytes | None]], how: str, frames: int) -> None:
        """The common course of things, so that watches are live when something goes wrong."""
        self.pump(frames)
        self.write(operations)
        self.feed(how)
        self.pump(frames)

    @rule(back=st.integers(0, 4))
    def compact(self, back: int) -> None:
        self.store.compact_revision = max(self.store.compact_revision, self.store.revision - back)

    @rule()
    def restart_apply(self) -> None:
        self.apply = Apply(self.store)
        self.hub.lost()
        self.pump(0)

    @rule()
    def apply_ready(self) -> None:
        self.hub.ready()

    @rule(flaky=st.booleans())
    def reads_fail(self, flaky: bool) -> None:
        self.flaky = flaky

    @rule(frames=st.integers(1, 6))
    def deliver(self, frames: int) -> None:
        self.pump(frames)

    @rule(ms=st.sampled_from([100, 1_000, 20_000]))
    def tick(self, ms: int) -> None:
        self.now += ms
        self.hub.on_tick(self.now)

    # -- clients ---------------------------------------------------------------------------------------------------
    @rule(
        stream=streams,
        bounds=st.sampled_from(RANGES),
        offset=st.one_of(st.none(), st.integers(-6, 3)),
        filters=st.sampled_from([[], [], [0], [1]]),
        flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
        chosen=st.sampled_from([0, 0, 0, 7]),
    )
    def create(  # noqa: PLR0917
        self,
        stream: str,
        bounds: tuple[bytes, bytes],
        offset: int | None,
        filters: list[int],
        flags: tuple[bool, bool, bool],
        chosen: int,
    ) -> None:
        if (stream, chosen) in self.clients and chosen:
            return
        start = 0 if offset is None else max(1, self.store.revision + offset)
        prev_kv, fragment, notify = flags
        request = WatchCreateRequest(*bounds, start, notify, filters, prev_kv, chosen, fragment)
        before = set(self.hub._streams[stream].watchers) if stream in self.hub._streams else set()
        self.hub.create(stream, request)
        created = set(self.hub._streams[stream].watchers) - before
        if created:
            self.clients[stream, created.pop()] = Client(request, start)
        else:  # created and cancelled at once: compacted
            out = self.hub.take()
            self.receive(out[:-2])
            reply = decode(out[-1][1])
            assert 0 < start < reply.compact_revision

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        stream, watch_id = data.draw(st.sampled_from(sorted(self.clients)))
        self.receive(self.hub.take())
        self.hub.cancel(stream, WatchCancelRequest(watch_id))
        out = self.hub.take()
        own = [reply for name, reply in out if name == stream and decode(reply).watch_id == watch_id]
        client = self.clients.pop((stream, watch_id))
        if own:
            assert decode(own[-1]).canceled
        else:  # not yet created: both replies come in the order of creations
            assert not client.created
            self.canceled_early[stream, watch_id] += 1
        self.receive([(name, reply) for name, reply in out if reply not in own or name != stream])

    @rule(stream=streams)
    def drop(self, stream: str) -> None:
        self.receive(self.hub.take())
        self.hub.drop(stream)
        self.clients = {key: client for key, client in self.clients.items() if key[0] != stream}
        self.canceled_early = Counter({key: n for key, n in self.canceled_early.items() if key[0] != stream})
        self.paused.discard(stream)

    @rule(stream=streams)
    def pause(self, stream: str) -> None:
        if stream in self.hub._streams:
            self.receive(self.hub.take())
            self.hub.pause(stream)
            self.paused.add(stream)

    @rule(stream=streams)
    def resume(self, stream: str) -> None:
        self.hub.resume(stream)
        self.paused.discard(stream)

    @rule(stream=streams)
    def progress(self, stream: str) -> None:
        self.hub.progress(stream)

    @rule(bounds=st.sampled_from(RANGES), offset=st.integers(-4, 2), prev_kv=st.booleans())
    def poll(self, bounds: tuple[bytes, bytes], offset: int, prev_kv: bool) -> None:
        self.tokens += 1
        request = WatchPollRequest(*bounds, max(1, self.store.revision + offset), [], prev_kv)
        self.polls[f"p{self.tokens}"] = request
        self.hub.poll(f"p{self.tokens}", request, self.now + 5_000)

    @rule(bounds=st.sampled_from(RANGES[:3]), offset=st.integers(-4, 2), deletes_only=st.booleans())
    def wait(self, bounds: tuple[bytes, bytes], offset: int, deletes_only: bool) -> None:
        self.tokens += 1
        start = max(1, self.store.revision + offset)
        self.waits[f"w{self.tokens}"] = (bounds, start, deletes_only)
        self.hub.wait(f"w{self.tokens}", *bounds, start, deletes_only=deletes_only)

    # -- moving messages -------------------------------------------------------------------------------------------
    def pump(self, frames: int) -> None:
        """Requests to apply, then up to so many of its messages."""
        self.exchange()
        for _ in range(frames):
            if not self.apply.sent:
                break
            message = self.apply.sent.pop(0)
            if isinstance(message, Subscribed):
                self.hub.on_subscribed(message)
            elif isinstance(message, Feed):
                self.hub.on_feed(message)
            else:
                self.hub.on_history(*message)
            self.exchange()

    def exchange(self) -> None:
        subscribe = self.hub.take_subscribe()
        if subscribe is not None:
            self.apply.subscribe(subscribe)
        for token, history in self.hub.take_reads():
            self.apply.read(token, history, self.flaky)
        self.receive(self.hub.take())
        for waiter, woken in self.hub.take_woken():
            self.woken(str(waiter), woken)

    @invariant()
    def collect(self) -> None:
        self.receive(self.hub.take())
        for waiter, woken in self.hub.take_woken():
            self.woken(str(waiter), woken)

    # -- what clients hear -----------------------------------------------------------------------------------------
    def receive(self, out: list[tuple[object, bytes]]) -> None:
        for stream, data in out:
            assert isinstance(stream, str)
            if stream in self.polls:
                self.polled(stream, data)
                continue
            reply = decode(data)
            for watch_id in reply.watch_ids or [reply.watch_id]:
                if watch_id == -1:
                    self.bookmark(stream, None, reply.header.revision)
                else:
                    self.told(stream, watch_id, reply)

    def told(self, stream: str, watch_id: int, reply: WatchReply) -> None:
        if self.canceled_early[stream, watch_id]:
            assert reply.created or reply.canceled
            self.canceled_early[stream, watch_id] -= reply.canceled
            return
        client = self.clients[stream, watch_id]
        if reply.created:
            client.created = True
            client.start = client.start or reply.header.revision + 1
        elif reply.canceled:
            assert reply.compact_revision
            client.over = reply.compact_revision
            self.finished.append(self.clients.pop((stream, watch_id)))
        elif not reply.events:
            self.bookmark(stream, watch_id, reply.header.revision)
        else:
            assert client.created
            assert stream not in self.paused
            self.hear(client, reply)

    def hear(self, client: Client, reply: WatchReply) -> None:
        """Filter, Ordered, Unique, Atomic, Reliable so far: exactly the next events, whole revisions."""
        heard = [check_event(self.store, event, client.request.prev_kv) for event in reply.events]
        assert heard[0][0] > client.bookmark
        client.seen += heard
        last = client.seen[-1][0]
        assert reply.header.revision >= last
        wanted = client.want(self.store, last)
        if client.request.fragment:
            assert client.seen == wanted[: len(client.seen)]
            assert (client.seen == wanted) == (not reply.fragment)
        else:
            assert not reply.fragment
            assert client.seen == wanted

    def bookmark(self, stream: str, watch_id: int | None, revision: int) -> None:
        """Bookmarkable: everything up to revision has been told."""
        assert revision <= self.store.revision
        for (name, number), client in self.clients.items():
            if name == stream and watch_id in {None, number} and client.created:
                assert client.seen == client.want(self.store, revision)
                client.bookmark = revision

    def polled(self, token: str, data: bytes) -> None:
        request = self.polls.pop(token)
        plain = msgspec.msgpack.decode(data)
        if "error" in plain:
            assert plain["compact_revision"] > request.start_revision
            return
        reply = msgspec.msgpack.decode(data, type=WatchPollReply)
        heard = [check_event(self.store, event, request.prev_kv) for event in reply.events]
        bounds = (request.key or b"\0", request.range_end)
        assert heard == matching(self.store, bounds, [], request.start_revision, reply.next_revision - 1)
        assert reply.next_revision >= request.start_revision

    def woken(self, token: str, woken: Woken) -> None:
        bounds, start, deletes_only = self.waits.pop(token)
        if woken.compact_revision:
            assert woken.compact_revision > start
            return
        heard = [(event.revision, event.key, int(event.row is None)) for event in woken.events]
        assert heard
        filters = [0] if deletes_only else []
        assert heard == matching(self.store, (bounds[0] or b"\0", bounds[1]), filters, start, woken.next_revision - 1)

    # -- in the end ------------------------------------------------------------------------------------------------
    def teardown(self) -> None:
        """Reliable, Resumable: with the faults over, every watch has everything, or was told why not."""
        self.flaky = False
        self.hub.ready()
        for stream in ("s0", "s1", "s2"):
            self.hub.resume(stream)
        self.paused.clear()
        for _ in range(3):
            self.apply.feed()
            self.pump(10_000)
            self.now += 100
            self.hub.on_tick(self.now)
        assert not self.apply.sent
        for client in self.clients.values():
            assert client.created
            assert client.seen == client.want(self.store, self.store.revision)
        for client in self.finished:
            if client.created:
                following = client.want(self.store, self.store.revision)[len(client.seen) :]
                told = client.seen[-1][0] + 1 if client.seen else client.start
                assert max(told, client.bookmark) < client.over
                assert client.seen == client.want(self.store, client.seen[-1][0]) if client.seen else True
                assert all(event[0] >= told for event in following)
        for bounds, start, deletes_only in self.waits.values():
            filters = [0] if deletes_only else []
            assert not matching(self.store, (bounds[0] or b"\0", bounds[1]), filters, start, self.store.revision)
        self.now += 100_000
        self.hub.on_tick(self.now)
        self.receive(self.hub.take())
        assert not self.polls


def decode(data: bytes) -> WatchReply:
    return msgspec.msgpack.decode(data, type=WatchReply)


TestHubGuarantees = HubMachine.TestCase
TestHubGuarantees.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
