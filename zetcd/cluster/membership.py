"""Member and cluster ids, and the entries a cluster begins with.

A member id is the first 8 bytes of SHA-1 over the member's peer URLs, sorted and joined, followed by the cluster token;
the cluster id is the same over the ascending member ids, 8 bytes each. All big-endian, as etcd does it, so that the
same flags give the same ids (`server/etcdserver/api/membership/{member,cluster}.go`).

Every founding member starts its log with the same entries: one MemberChange of term 1 for each member, ascending by
id, each alone in its block (rule 14) and committed from the start, since all founders know them from their flags.
"""

import enum
import hashlib
from collections.abc import Iterable, Sequence

from zetcd.base.ids import ClusterId, MemberId
from zetcd.wire.entry import Block, BlockKind, Entry, MemberChange, decode_entries, encode_entries
from zetcd.wire.results import MemberRow

BOOTSTRAP_TERM = 1

BootstrapMember = tuple[MemberId, str, list[str]]
"""(id, name, sorted peer URLs)"""


class ChangeKind(enum.IntEnum):
    """`MemberChange.kind`."""

    BOOTSTRAP, ADD, ADD_LEARNER, PROMOTE, REMOVE, UPDATE, PUBLISH = 1, 2, 3, 4, 5, 6, 7


def member_id(urls: Iterable[str], token: str) -> MemberId:
    """Id of the bootstrap member with these peer URLs, in any order, in the cluster that token names."""
    return MemberId(_first_bytes("".join(sorted(urls)).encode() + token.encode()))


def added_member_id(urls: Iterable[str], salt: int) -> MemberId:
    """Id of a member that joins later. etcd hashes the time along, so that a member may come back at the same URLs
    under another id; salt, drawn by the proposer, does the same without a clock. The entry carries the id."""
    return MemberId(_first_bytes("".join(sorted(urls)).encode() + str(salt).encode()))


def complaint_of(urls: Sequence[str]) -> str:
    """What is wrong with a member's peer URLs, in etcd's words (`client/pkg/types/urls.go`) for our schemes; empty
    where nothing is."""
    if not urls:
        return "no valid URLs given"
    for url in urls:
        scheme, found, rest = url.strip().partition("://")
        if not found or scheme not in PEER_SCHEMES:
            return f"URL scheme must be {' or '.join(PEER_SCHEMES)}: {url}"
        address, slash, path = rest.partition("/")
        host, _, port = address.rpartition(":")
        if not host or host == "[]" or not port.isascii() or not port.isdigit() or int(port) > PORT_MAX:
            return f'URL address does not have the form "host:port": {url}'
        if slash or path:
            return f"URL must not contain a path: {url}"
    return ""


PEER_SCHEMES = ("tcp", "http")
"""``http://`` is read as ``tcp://``, so that an etcd command line works."""
PORT_MAX = 65_535


def cluster_id(member_ids: Iterable[int]) -> ClusterId:
    """Id of the cluster that these members bootstrap."""
    return ClusterId(_first_bytes(b"".join(member.to_bytes(8, "big") for member in sorted(member_ids))))


def bootstrap_members(initial_cluster: Sequence[tuple[str, str]], token: str) -> list[BootstrapMember]:
    """Each member of ``--initial-cluster``, ascending by id: every member derives the same list. A name that stands
    several times has several URLs."""
    urls: dict[str, list[str]] = {}
    for name, url in initial_cluster:
        urls.setdefault(name, []).append(url)
    return sorted((member_id(own, token), name, sorted(own)) for name, own in urls.items())


def bootstrap_blocks(members: Sequence[BootstrapMember]) -> list[Block]:
    """The first entries of the log, at indexes 1..len(members). They carry no request id: nobody waits for them."""
    return [
        Block(
            index,
            index,
            BOOTSTRAP_TERM,
            encode_entries([Entry(0, 0, MemberChange(ChangeKind.BOOTSTRAP, member, name, urls))]),
            BlockKind.MEMBERSHIP,
        )
        for index, (member, name, urls) in enumerate(members, 1)
    ]


def founders(blocks: Sequence[Block]) -> list[MemberRow]:
    """The members that founded a cluster, from the blocks with which its log begins; none where those are gone."""
    rows: list[MemberRow] = []
    for block in blocks:
        if block.term != BOOTSTRAP_TERM or block.kind != BlockKind.MEMBERSHIP:
            break
        [entry] = decode_entries(block.count, block.data)
        change = entry.command
        if not isinstance(change, MemberChange) or change.kind != ChangeKind.BOOTSTRAP:
            break
        rows.append((change.member, change.name, change.peer_urls, [], False))
    return rows


def forced_blocks(members: Sequence[MemberRow], member: int, index: int, term: int) -> list[Block]:
    """For ``--force-new-cluster``: the entries behind (index, term) that leave member as the only one."""
    rows = {row[0]: row for row in members}
    changes = []
    if member in rows and rows[member][4]:
        changes.append(MemberChange(ChangeKind.PROMOTE, member))
    changes += [MemberChange(ChangeKind.REMOVE, other) for other in sorted(rows) if other != member]
    return [
        Block(position, position, term, encode_entries([Entry(0, 0, change)]), BlockKind.MEMBERSHIP)
        for position, change in enumerate(changes, index + 1)
    ]


def publish(member: int, name: str, client_urls: Sequence[str]) -> bytes:
    """The encoded entry by which a started member makes its name and client URLs known, as etcd does at each start."""
    change = MemberChange(ChangeKind.PUBLISH, member, name, [], list(client_urls))
    return encode_entries([Entry(0, 0, change)])


def _first_bytes(data: bytes) -> int:
    # Not a matter of security: etcd's ids are made this way.
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")
