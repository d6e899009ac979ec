"""The URLs of a member, checked as etcd checks them, in our schemes.

``tcp://host:port`` is the ZeroMQ API (clients) or the peer link; ``http://`` and ``https://`` of clients are the
gateway, etcd's gRPC and HTTP. For peers ``http://`` is taken as ``tcp://``, so that an etcd command line works; ids
are computed from the URLs as they were given (`zetcd.cluster.membership`).
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

SCHEMES = ("tcp", "http", "https", "unix", "unixs")


@dataclass(frozen=True, slots=True)
class Url:
    """One address. host without brackets; text as given, blanks stripped."""

    scheme: str
    host: str
    port: int
    text: str

    @property
    def tcp(self) -> str:
        """The same address as ZeroMQ names it, ``localhost`` resolved."""
        return f"tcp://{self.address}"

    @property
    def address(self) -> str:
        """``host:port`` to bind, ``localhost`` resolved."""
        host = "127.0.0.1" if self.host == "localhost" else self.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def specific(self) -> bool:
        """Whether others can reach this host by the name: not empty, not a wildcard."""
        return self.host not in ("", "*", "0.0.0.0", "::")  # noqa: S104 (compared, not bound)


def read_url(text: str) -> Url:
    """One URL; ValueError says what it must be."""
    text = text.strip()
    scheme, found, rest = text.partition("://")
    if not found or scheme not in SCHEMES:
        raise ValueError(f"a URL such as tcp://127.0.0.1:2378, not {text!r}")
    if scheme in ("unix", "unixs"):
        raise ValueError(f"a tcp:// URL; unix sockets are not offered: {text}")
    parts = urlsplit(f"{scheme}://{rest}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if port is None:
        raise ValueError(f'a URL of the form "{scheme}://host:port", port 0 to 65535: {text}')
    if parts.path or parts.query or parts.fragment:
        raise ValueError(f"a URL without a path: {text}")
    return Url(scheme, parts.hostname or "", port, text)


def read_no_urls(text: str) -> tuple[Url, ...]:
    """The same, or none."""
    return read_urls(text) if text.strip() else ()


def read_urls(text: str) -> tuple[Url, ...]:
    """A comma list, each URL once; at least one."""
    urls = tuple({url.text: url for url in (read_url(part) for part in text.split(","))}.values())
    assert urls
    return urls


def check_binding(url: Url) -> None:
    """A listener binds an address of this machine: an IP or localhost, as etcd wants it."""
    if url.host == "localhost":
        return
    try:
        ipaddress.ip_address(url.host)
    except ValueError:
        raise ValueError(
            f"an IP address or localhost to bind, not a name: {url.text} (expected IP in URL for binding)"
        ) from None


def check_advertised(url: Url) -> None:
    """Others connect to an advertised URL, so it needs a host."""
    if not url.host or url.host == "*":
        raise ValueError(f'"host:port" (unexpected empty host ({url.text}))')


def read_cluster(text: str) -> tuple[tuple[str, Url], ...]:
    """``m1=url,m2=url``: several URLs of one member by repeating its name."""
    members: list[tuple[str, Url]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, found, url = part.partition("=")
        if not found or not name:
            raise ValueError(f"name=url,name=url, not {part!r}")
        members.append((name, read_url(url)))
    if not members:
        raise ValueError("name=url,name=url, not empty")
    return tuple(members)


def listen_peers(urls: tuple[Url, ...]) -> tuple[str, ...]:
    """What to bind, each address once: localhost and 127.0.0.1 are the same one."""
    return tuple(dict.fromkeys(url.tcp for url in urls))


def listen(urls: tuple[Url, ...]) -> tuple[str, ...]:
    """The same for clients, whose schemes differ in what is spoken there."""
    return tuple(dict.fromkeys(f"{url.scheme}://{url.address}" for url in urls))
