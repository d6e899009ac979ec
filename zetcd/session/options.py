"""What a client is told at start, and the bounds it keeps."""

from collections.abc import Iterable
from typing import Final, Self

from msgspec import Struct

QUEUE_REQUESTS_MAX: Final = 65_536  # waiting to be sent; more fail at once with "too many requests"
BATCH_REQUESTS_MAX: Final = 256  # in one frame
BATCH_BYTES_MAX: Final = 1_048_576  # of one frame with more than one request; well under the server's frame bound
FRAMES_INFLIGHT_MAX: Final = 8  # per connection and queue: beyond it requests gather and travel together
ALONE_INFLIGHT_MAX: Final = 4_096  # locks, campaigns, long polls waiting on one connection
LANE_BUSY_REQUESTS: Final = 64  # in flight per connection before another one is opened
WATCH_QUEUE_EVENTS_MAX: Final = 65_536  # undelivered events of one watcher; beyond it is paused, and resumed later

TICK_S: Final = 0.05  # deadlines and retries are looked at so often, while anything is outstanding
BACKOFF_FIRST_S: Final = 0.025  # before the first repetition; doubles
BACKOFF_MAX_S: Final = 1.0
DIAL_BACKOFF_MAX_S: Final = 0.25  # between connections: a member is back within seconds, and shall be found at once
PROBE_AFTER_S: Final = 5.0  # a silent connection that somebody waits on is asked whether it lives


class Options(Struct, frozen=True):
    """Times in seconds; see `zetcd.client.Client`. alone: requests that share no frame, in flight on a connection."""

    endpoints: tuple[str, ...]
    timeout: float
    try_timeout: float
    connect_timeout: float
    sockets: int
    alone: int = ALONE_INFLIGHT_MAX

    @classmethod
    def of(
        cls, endpoints: str | Iterable[str], timeout: float, try_timeout: float, connect_timeout: float, sockets: int
    ) -> Self:
        """Checked and normalised. Raises ValueError naming what is wrong."""
        listed = endpoints.split(",") if isinstance(endpoints, str) else list(endpoints)
        urls = tuple(dict.fromkeys(normal(url.strip()) for url in listed if url.strip()))
        if not urls:
            raise ValueError("endpoints: at least one is needed")
        for name, value in (("timeout", timeout), ("try_timeout", try_timeout), ("connect_timeout", connect_timeout)):
            if not value > 0:
                raise ValueError(f"{name}: {value} is not a positive number of seconds")
        if sockets < 1:
            raise ValueError(f"sockets: {sockets} is fewer than 1")
        return cls(urls, timeout, try_timeout, connect_timeout, sockets)


def normal(endpoint: str) -> str:
    """``host:port`` is short for ``tcp://host:port``; a trailing slash means nothing."""
    scheme, separator, rest = endpoint.partition("://")
    if not separator:
        scheme, rest = "tcp", endpoint
    if scheme not in {"tcp", "ipc"}:
        raise ValueError(f"endpoint {endpoint!r}: the scheme must be tcp or ipc, not {scheme}")
    if scheme == "tcp" and not rest.rstrip("/").rpartition(":")[2].isdigit():
        raise ValueError(f"endpoint {endpoint!r}: want tcp://host:port")
    return f"{scheme}://{rest.rstrip('/')}"
