"""ZeroMQ sockets as the design wants them: options set before bind or connect, nothing silently dropped.

ROUTER is mandatory (a send to a gone peer fails instead of vanishing), DEALER connects with IMMEDIATE (nothing queues
for a process that is not there), LINGER is 0, and the high-water mark is a tripwire (`limits.LINK_FRAMES_MAX`).
"""

import socket
import stat
from pathlib import Path

import zmq

from zetcd.base import limits
from zetcd.base.errors import Fatal
from zetcd.wire import routes

HANDSHAKE_MS = 5_000
"""A peer that has not finished the ZMTP greeting by then is dropped (libzmq's default is 30 s)."""
CLIENT_HEARTBEAT_MS = 10_000
CLIENT_HEARTBEAT_TIMEOUT_MS = 30_000
LISTEN_BACKLOG = 4_096


def _local(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    sock: zmq.Socket[bytes] = context.socket(kind)
    sock.setsockopt(zmq.LINGER, 0)
    sock.setsockopt(zmq.SNDHWM, limits.LINK_FRAMES_MAX)
    sock.setsockopt(zmq.RCVHWM, limits.LINK_FRAMES_MAX)
    return sock


def bind_owner(context: zmq.Context[zmq.Socket[bytes]], role: str) -> zmq.Socket[bytes]:
    """ROUTER at role's endpoint below the current directory."""
    sock = _local(context, zmq.ROUTER)
    sock.setsockopt(zmq.ROUTER_MANDATORY, 1)
    path = Path(routes.endpoint(role).removeprefix("ipc://"))
    # A socket file of a former life: the member directory is locked by wal, so nobody alive listens there.
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    sock.bind(routes.endpoint(role))
    return sock


def connect_dialer(
    context: zmq.Context[zmq.Socket[bytes]], owner: str, routing_id: bytes
) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    """DEALER towards owner, and the monitor that tells when its connection breaks."""
    sock = _local(context, zmq.DEALER)
    sock.setsockopt(zmq.IMMEDIATE, 1)
    sock.setsockopt(zmq.ROUTING_ID, routing_id)
    sock.setsockopt(zmq.RECONNECT_IVL, 5)
    sock.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
    monitor = sock.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    sock.connect(routes.endpoint(owner))
    return sock, monitor


def parse_tcp(url: str) -> tuple[str, int]:
    """(host, port) of a URL of whatever scheme that is carried by TCP."""
    host, _, port = url.partition("://")[2].rpartition(":")
    host = host.strip("[]")
    return ("127.0.0.1" if host == "localhost" else host), int(port)


def listen_shared(url: str) -> socket.socket:
    """A listening socket on url that other processes of the member may share (SO_REUSEPORT)."""
    host, port = parse_tcp(url)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        raise Fatal(f"cannot listen on {url}: {error.strerror}; is another process on this port?") from error
    sock.listen(LISTEN_BACKLOG)
    return sock


def bind_clients(
    context: zmq.Context[zmq.Socket[bytes]], urls: tuple[str, ...], number: int, frame_bytes_max: int
) -> zmq.Socket[bytes]:
    """ROUTER for clients on all tcp:// urls, each port shared with the member's other api processes, and on a local
    socket of its own below the current directory."""
    sock: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    sock.setsockopt(zmq.LINGER, 500)  # the last replies of a clean stop
    sock.setsockopt(zmq.ROUTER_MANDATORY, 1)
    sock.setsockopt(zmq.SNDHWM, limits.CLIENT_SEND_FRAMES_MAX)
    sock.setsockopt(zmq.RCVHWM, limits.CLIENT_RECEIVE_FRAMES_MAX)
    sock.setsockopt(zmq.MAXMSGSIZE, frame_bytes_max)
    sock.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    sock.setsockopt(zmq.HEARTBEAT_IVL, CLIENT_HEARTBEAT_MS)
    sock.setsockopt(zmq.HEARTBEAT_TIMEOUT, CLIENT_HEARTBEAT_TIMEOUT_MS)
    sock.setsockopt(zmq.BACKLOG, LISTEN_BACKLOG)
    for url in urls:
        listener = listen_shared(url)
        # libzmq owns and closes the descriptor from here on; one descriptor serves one bind.
        sock.setsockopt(zmq.USE_FD, listener.detach())
        sock.bind(url.replace("localhost", "127.0.0.1"))
        sock.setsockopt(zmq.USE_FD, -1)
    # Local clients save 60-100 us of the way through TCP.
    local = Path(f"run/client-{number}.sock")
    local.unlink(missing_ok=True)
    sock.bind(f"ipc://{local}")
    return sock


def _peer(context: zmq.Context[zmq.Socket[bytes]], kind: int, send_frames: int) -> zmq.Socket[bytes]:
    sock: zmq.Socket[bytes] = context.socket(kind)
    sock.setsockopt(zmq.LINGER, 0)
    sock.setsockopt(zmq.SNDHWM, send_frames)
    sock.setsockopt(zmq.RCVHWM, limits.PEER_RECEIVE_FRAMES_MAX)
    sock.setsockopt(zmq.MAXMSGSIZE, limits.PEER_FRAME_BYTES_MAX)
    sock.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    # A connection that a partition has cut would wait for TCP's own patience, minutes, before it is opened anew.
    sock.setsockopt(zmq.HEARTBEAT_IVL, limits.PEER_HEARTBEAT_MS)
    sock.setsockopt(zmq.HEARTBEAT_TIMEOUT, limits.PEER_SILENCE_MAX_MS)
    sock.setsockopt(zmq.IPV6, 1)
    return sock


def _peer_address(url: str) -> str:
    host, _, port = url.partition("://")[2].rpartition(":")
    return f"tcp://{'127.0.0.1' if host == 'localhost' else host}:{port}"


def bind_peers(context: zmq.Context[zmq.Socket[bytes]], urls: tuple[str, ...]) -> zmq.Socket[bytes]:
    """ROUTER for other members on all urls. Raises Fatal where an address cannot be had."""
    sock = _peer(context, zmq.ROUTER, limits.PEER_CONTROL_FRAMES_MAX)
    sock.setsockopt(zmq.ROUTER_MANDATORY, 1)
    # A lane that was cut comes again under its name, perhaps before the end of its former connection has been noticed
    # here (this process was held up): ZeroMQ would ignore it for ever otherwise.
    sock.setsockopt(zmq.ROUTER_HANDOVER, 1)
    for url in urls:
        try:
            sock.bind(_peer_address(url))
        except zmq.ZMQError as error:
            raise Fatal(f"--listen-peer-urls {url}: {error.strerror}; is another process on this port?") from error
    return sock


def connect_peer(
    context: zmq.Context[zmq.Socket[bytes]], url: str, routing_id: bytes, send_frames: int
) -> zmq.Socket[bytes]:
    """DEALER towards another member. Nothing queues while it is not connected. Raises zmq.ZMQError for an address that
    is none."""
    sock = _peer(context, zmq.DEALER, send_frames)
    sock.setsockopt(zmq.IMMEDIATE, 1)
    sock.setsockopt(zmq.ROUTING_ID, routing_id)
    sock.setsockopt(zmq.RECONNECT_IVL, 20)
    sock.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
    sock.setsockopt(zmq.CONNECT_TIMEOUT, limits.PEER_CONNECT_MAX_MS)
    sock.connect(_peer_address(url))
    return sock
