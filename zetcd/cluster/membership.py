"""Member and cluster ids, computed as etcd computes them, so that the same flags give the same ids.

A member id is the first 8 bytes of SHA-1 over the member's peer URLs, sorted and joined, followed by the cluster
token; the cluster id is the same over the ascending member ids, 8 bytes each. All big-endian.
(`server/etcdserver/api/membership/{member,cluster}.go`)
"""

import hashlib
from collections.abc import Iterable, Sequence

from zetcd.base.ids import ClusterId, MemberId


def member_id(urls: Iterable[str], token: str) -> MemberId:
    """Id of the bootstrap member with these peer URLs, in any order, in the cluster that token names."""
    return MemberId(_first_bytes("".join(sorted(urls)).encode() + token.encode()))


def cluster_id(member_ids: Iterable[int]) -> ClusterId:
    """Id of the cluster that these members bootstrap."""
    return ClusterId(_first_bytes(b"".join(member.to_bytes(8, "big") for member in sorted(member_ids))))


def bootstrap_members(initial_cluster: Sequence[tuple[str, str]], token: str) -> list[tuple[MemberId, str, list[str]]]:
    """(id, name, sorted peer URLs) of each member of ``--initial-cluster``, ascending by id: every member derives the
    same list. A name that stands several times has several URLs."""
    urls: dict[str, list[str]] = {}
    for name, url in initial_cluster:
        urls.setdefault(name, []).append(url)
    return sorted((member_id(own, token), name, sorted(own)) for name, own in urls.items())


def _first_bytes(data: bytes) -> int:
    # Not a matter of security: etcd's ids are made this way.
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")
