"""Who may ask from where: CORS and the host whitelist, as etcd's `--cors` and `--host-whitelist`."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from zetcd.gateway.http.answers import Headers

ANY = "*"
_ALLOWED: Headers = [
    ("Access-Control-Allow-Headers", "accept, content-type, authorization"),
    ("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE"),
]


class Access:
    """What one listener allows.

    cors: origins whose pages may read the answers; hosts: names that the Host header may carry where there is no TLS,
    so that no page can reach the port under a name of its own (DNS rebinding). `*` is any, and so is none at all.
    """

    __slots__ = ("_any_origin", "_hosts", "_origins", "_secure")

    def __init__(self, cors: Iterable[str], hosts: Iterable[str], secure: bool) -> None:
        self._origins = frozenset(cors)
        self._hosts = frozenset(hosts)
        self._secure = secure or not self._hosts or ANY in self._hosts
        self._any_origin = [*_ALLOWED, ("Access-Control-Allow-Origin", ANY)]
        if not self._origins:
            self._origins = frozenset({ANY})

    def refused_host(self, headers: Mapping[str, str]) -> str | None:
        """The name in the Host header, if it is not one of those allowed."""
        if self._secure:
            return None
        host = headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = host
        return None if name in self._hosts else name

    def allows_page(self, headers: Mapping[str, str]) -> bool:
        """Whether it may open a websocket, which browsers let any page do."""
        return ANY in self._origins or headers.get("origin") in (None, *self._origins)

    def cors(self, headers: Mapping[str, str]) -> Headers:
        """The headers that tell a browser whether it may."""
        if ANY in self._origins:
            return self._any_origin
        origin = headers.get("origin")
        if origin is None or origin not in self._origins:
            return []
        return [*_ALLOWED, ("Access-Control-Allow-Origin", origin)]
