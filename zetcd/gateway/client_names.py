"""`--client-cert-allowed-hostname`: whether a client's certificate is made out to a name."""

import ipaddress
from collections.abc import Mapping
from typing import Any


def is_for(certificate: Mapping[str, Any] | None, host: str) -> bool:
    """certificate: as `ssl.SSLSocket.getpeercert` tells it. Its subjectAltName counts, its common name does not."""
    names = (certificate or {}).get("subjectAltName", ())
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        wanted = host.lower().rstrip(".")
        return any(kind == "DNS" and _covers(name.lower().rstrip("."), wanted) for kind, name in names)
    return any(kind == "IP Address" and ipaddress.ip_address(name) == address for kind, name in names)


def _covers(pattern: str, host: str) -> bool:
    """A star stands for the whole first label, and for one label."""
    if not pattern.startswith("*."):
        return bool(host) and pattern == host
    first, dot, rest = host.partition(".")
    return bool(first and dot) and rest == pattern.removeprefix("*.")
