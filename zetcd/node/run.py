"""Wires one actor to its sockets and ports, and runs it: what each process of a member does after its settings stand.

Imports are per role, so that a process holds only what it needs: plyvel is in apply alone, asyncio in the gateway.
"""

import gc
import os
import random
import secrets
from collections.abc import Callable
from pathlib import Path

import zmq

from zetcd.actors.actor import Actor
from zetcd.actors.sessions import Sessions
from zetcd.actors.tracing import Tracer
from zetcd.base import limits
from zetcd.base.errors import Fatal, Refusal
from zetcd.base.settings import Settings
from zetcd.host import clock, logs, sockets
from zetcd.host.loop import Loop
from zetcd.host.process import Notifier, memory_bytes
from zetcd.wire import routes


def run(role: str, number: int, settings: Settings) -> None:
    """Run actor role (its number-th process) until it is told to stop. Raises Fatal."""
    Path(settings.member_dir, "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chdir(settings.member_dir)  # socket paths stay short, whatever the data directory is called
    notifier = Notifier.from_env()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    _ROLES[role](settings, number, context, notifier)


def _loop(actor: Actor, sessions: Sessions, context: "zmq.Context[zmq.Socket[bytes]]", notifier: Notifier) -> Loop:
    role = actor.role
    owner_socket = sockets.bind_owner(context, role) if routes.owned(role) else None
    loop = Loop(context, role, sessions, actor, notifier, owner_socket, routes.dials(role))
    if sessions.tracer is not None:
        loop.after_turn = sessions.tracer.end_turn
    return loop


def _tracer(settings: Settings, role: str) -> Tracer | None:
    return Tracer(role, clock.monotonic_ns) if settings.trace_hops else None


def _start(loop: Loop) -> None:
    # Everything built so far lives as long as the process: keep it out of every later collection.
    gc.collect()
    gc.freeze()
    loop.run()


def _wal(settings: Settings, number: int, context: "zmq.Context[zmq.Socket[bytes]]", notifier: Notifier) -> None:
    from zetcd.actors.measuring import WAL_SYNC
    from zetcd.actors.wal_actor import WalActor
    from zetcd.base.meter import Meter
    from zetcd.host.files import HostFiles

    syncs = Meter()
    try:
        actor = WalActor(settings, HostFiles(syncs.observe_ns), logs.configure(settings, "wal"))
    except Refusal:
        raise
    except Fatal as fatal:
        # A log that cannot be opened now will not open a moment later: a person has to look.
        raise Refusal(str(fatal)) from fatal
    actor.meters[WAL_SYNC] = syncs
    sessions = Sessions(
        actor, number, _incarnation(), _tracer(settings, "wal"),
        epoch=actor.epoch, cluster=actor.cluster, member=actor.member,
    )  # fmt: skip
    loop = _loop(actor, sessions, context, notifier)
    notifier.ready()
    _start(loop)


def _raft(settings: Settings, number: int, context: "zmq.Context[zmq.Socket[bytes]]", notifier: Notifier) -> None:
    from zetcd.actors.raft_actor import RaftActor
    from zetcd.host.peer_port import PeerPort

    incarnation = _incarnation()
    jitter = random.Random(secrets.randbits(64))  # noqa: S311 - not a secret
    actor = RaftActor(settings, jitter, incarnation, clock_ms=clock.boottime_ms)
    tracer = _tracer(settings, "raft")
    loop = _loop(actor, Sessions(actor, number, incarnation, tracer), context, notifier)
    port = PeerPort(context, settings, actor, actor.peers, loop)
    traced = loop.after_turn

    def after_turn() -> None:
        port.flush()
        if traced is not None:
            traced()

    loop.after_turn = after_turn
    _ready_when(loop, lambda: actor.ready, notifier)
    _start(loop)


def _apply(settings: Settings, number: int, context: "zmq.Context[zmq.Socket[bytes]]", notifier: Notifier) -> None:
    from zetcd.actors.apply_actor import ApplyActor
    from zetcd.actors.measuring import BACKEND_SNAPSHOT, BACKEND_SNAPSHOT_BOUNDS, COMMIT, DEFRAG, DEFRAG_BOUNDS
    from zetcd.base.meter import Meter
    from zetcd.host.flusher import Flusher
    from zetcd.host.leveldb import LevelEngine
    from zetcd.host.scratch import Scratches
    from zetcd.host.staging import HostStage
    from zetcd.host.stores import Stores
    from zetcd.state.machine import Machine

    commits, defragments = Meter(), Meter(DEFRAG_BOUNDS)
    flusher = Flusher(commits)
    stores = Stores(settings.member_dir, sync=not settings.unsafe_no_fsync)
    arrived = stores.tidy()
    stage = HostStage(stores)
    cache_bytes = min(limits.ROW_CACHE_BYTES, memory_bytes() // limits.ROW_CACHE_MEMORY_PART)
    machine = Machine(LevelEngine(stores.path, sync=stores.sync), notifier.watchdog, cache_bytes)
    actor = ApplyActor(machine, flusher, settings.compaction_batch_limit, settings.compaction_sleep_ms)
    receiver = actor.snapshots.attach(stage, stores, arrived)
    actor.meters |= {COMMIT: commits, DEFRAG: defragments}
    files = Flusher(defragments)
    exports = actor.meters[BACKEND_SNAPSHOT] = Meter(BACKEND_SNAPSHOT_BOUNDS)
    scratches = Scratches(settings.member_dir, exports)
    actor.deferred.attach(files, scratches)
    loop = _loop(actor, Sessions(actor, number, _incarnation(), _tracer(settings, "apply")), context, notifier)
    traced = loop.after_turn

    def after_turn() -> None:
        machine.settle()
        if traced is not None:
            traced()

    def on_slow() -> None:
        actor.counters["slow_turns"] += 1

    loop.after_turn, loop.on_slow = after_turn, on_slow
    loop.add_reader(flusher.done_fd, lambda: flusher.drain(actor.on_flushed))
    loop.add_reader(files.done_fd, lambda: files.drain(actor.deferred.on_defragmented))
    loop.add_reader(scratches.done_fd, scratches.drain)
    loop.add_reader(stage.done_fd, lambda: stage.drain(receiver.on_staged))
    _ready_when(loop, lambda: actor.ready, notifier)
    _start(loop)


def _lease(settings: Settings, number: int, context: "zmq.Context[zmq.Socket[bytes]]", notifier: Notifier) -> None:
    from zetcd.actors.lease_actor import LeaseActor

    incarnation = _incarnation()
    actor = LeaseActor(settings, incarnation)
    # The epoch of its own links with api is its own life: lease restarts alone.
    sessions = Sessions(actor, number, incarnation, _tracer(settings, "lease"), epoch=incarnation)
    loop = _loop(actor, sessions, context, notifier)
    _ready_when(loop, lambda: actor.ready, notifier)
    _start(loop)


def _api(settings: Settings, number: int, context: "zmq.Context[zmq.Socket[bytes]]", notifier: Notifier) -> None:
    from zetcd.actors.api_actor import ApiActor
    from zetcd.actors.hashing import Job
    from zetcd.host.client_port import ClientPort
    from zetcd.host.hasher import Hasher

    incarnation = _incarnation()
    # Lease ids need to be unique, not unguessable.
    actor = ApiActor(settings, number, incarnation, random.Random(secrets.randbits(64)))  # noqa: S311
    tracer = actor.tracer = _tracer(settings, "api")
    loop = _loop(actor, Sessions(actor, number, incarnation, tracer), context, notifier)
    port = ClientPort(context, settings, number, actor, tracer)
    port.look = lambda: loop.look_at(port.socket)
    loop.add_inlet(port.socket, port.take, limits.TURN_CLIENT_FRAMES_MAX)
    loop.after_turn = port.flush
    hasher: Hasher[Job] = Hasher(settings.bcrypt_cost)
    actor.hashing.hasher = hasher
    loop.add_reader(hasher.done_fd, lambda: hasher.drain(actor.hashing.on_hashed))
    _ready_when(loop, lambda: actor.ready, notifier)
    _start(loop)


def _gateway(settings: Settings, number: int, _context: "zmq.Context[zmq.Socket[bytes]]", notifier: Notifier) -> None:
    from zetcd.gateway import main

    listeners = [
        main.Listener(url, sockets.listen_shared(url), serves)
        for serves, urls in (
            ("all", settings.gateway_urls),
            ("http", settings.listen_client_http_urls),
            ("metrics", settings.listen_metrics_urls),
        )
        for url in urls
    ]
    main.run(settings, listeners, notifier, logs.configure(settings, "gateway", number))


def _ready_when(loop: Loop, ready: Callable[[], bool], notifier: Notifier) -> None:
    """Tell the supervisor READY=1 in the first turn after which ready() holds."""
    after = loop.after_turn

    def check() -> None:
        if after is not None:
            after()
        if ready():
            loop.after_turn = after
            notifier.ready()

    loop.after_turn = check


def _incarnation() -> int:
    return secrets.randbits(62) | 1


_ROLES: dict[str, Callable[[Settings, int, "zmq.Context[zmq.Socket[bytes]]", Notifier], None]] = {
    "wal": _wal,
    "raft": _raft,
    "apply": _apply,
    "lease": _lease,
    "api": _api,
    "gateway": _gateway,
}
