"""A data directory that is new: who this member is, by the word of those who are there already.

- ``--initial-cluster-state=existing``: the cluster knows this member by its peer URLs (`member add` came first) and has
  given it an id. The checks are etcd's (`membership.ValidateClusterAndAssignIDs`).
- ``new``: if others run already and know this member as one that has served, its directory was lost. It must not vote
  again under the same id, since it has forgotten its votes (etcd: "has already been bootstrapped").

Where nobody answers, a new cluster is founded, and an existing one cannot be joined.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from zetcd.base import limits
from zetcd.base.errors import Refusal
from zetcd.base.settings import Settings
from zetcd.node.urls import read_url
from zetcd.wire.peer import PROTOCOL, MembersAnswer
from zetcd.wire.results import MemberRow

Ask = Callable[[Sequence[str], int], Iterable[MembersAnswer]]
"""(peer URLs, for how many milliseconds) -> answers."""


def is_fresh(settings: Settings) -> bool:
    """Whether the data directory holds no member yet."""
    wal = Path(settings.wal_path)
    return not wal.is_dir() or not any(wal.glob("*.wal"))


def find_identity(settings: Settings, ask: Ask) -> Settings:
    """settings with the ids under which this member is known to a running cluster. Raises Refusal."""
    if not is_fresh(settings):
        return settings
    own = _addresses(settings.initial_advertise_peer_urls)
    others = [url for name, url in settings.initial_cluster if name != settings.name]
    if settings.initial_cluster_state == "existing":
        return _join(settings, own, others, ask)
    if others:
        _check_new(settings, own, others, ask)
    return settings


def _join(settings: Settings, own: frozenset[str], others: list[str], ask: Ask) -> Settings:
    complaint = (
        "cannot fetch cluster info from peer urls: nobody answers at "
        f"{', '.join(others) or 'no URL: --initial-cluster names this member alone'}; start those members, or correct "
        "--initial-cluster"
    )
    for answer in ask(others, limits.JOIN_ASK_MS):
        if not answer.members:
            continue
        wrong = _mismatch(settings, own, answer)
        if not wrong:
            [row] = [row for row in answer.members if _addresses(row[2]) == own]
            return replace(settings, cluster_id=answer.cluster, member_id=row[0])
        complaint = wrong  # whoever answered may not have heard of this member yet
    raise Refusal(complaint)


def _mismatch(settings: Settings, own: frozenset[str], answer: MembersAnswer) -> str:
    shown = ",".join(f"{name}={url}" for name, url in settings.initial_cluster)
    if answer.version != PROTOCOL:
        return f"the cluster speaks protocol {answer.version}, this program {PROTOCOL}: use the same release"
    mine = next((row for row in answer.members if _addresses(row[2]) == own), None)
    if mine is None:
        return (
            f"the cluster knows no member with the peer URLs {', '.join(sorted(own))}: run zetcdctl member add "
            f"{settings.name} --peer-urls={','.join(settings.initial_advertise_peer_urls)} first, or make "
            "--initial-advertise-peer-urls equal to what was added"
        )
    if mine[3]:
        return _lost(settings, mine)
    flags: dict[str, list[str]] = {}
    for name, url in settings.initial_cluster:
        flags.setdefault(name, []).append(url)
    there = sorted(sorted(_addresses(row[2])) for row in answer.members)
    here = sorted(sorted(_addresses(urls)) for urls in flags.values())
    if len(there) != len(here):
        return f"member count is unequal: --initial-cluster has {len(here)} ({shown}), the cluster {len(there)}"
    if there != here:
        known = "; ".join(",".join(urls) for urls in there)
        return f"unmatched member while checking PeerURLs: --initial-cluster is {shown}, the cluster has {known}"
    return ""


def _check_new(settings: Settings, own: frozenset[str], others: list[str], ask: Ask) -> None:
    for answer in ask(others, limits.FOUND_ASK_MS):
        if not answer.members:
            return  # they found it with us
        for row in answer.members:
            if _addresses(row[2]) == own and row[3] and answer.cluster == settings.cluster_id:
                raise Refusal(_lost(settings, row))
        return


def _lost(settings: Settings, row: MemberRow) -> str:
    urls = ",".join(settings.initial_advertise_peer_urls)
    return (
        f"member {row[0]:x} ({row[1]}) has already been bootstrapped, but {settings.data_dir} is empty: its log is "
        f"lost, and with it the votes it gave; run zetcdctl member replace {row[0]:x} {settings.name} "
        f"--peer-urls={urls}, which says what to start it with"
    )


def _addresses(urls: Iterable[str]) -> frozenset[str]:
    return frozenset(_address(url) for url in urls)


def _address(url: str) -> str:
    try:
        return read_url(url).tcp
    except ValueError:
        return url  # of the log, not of a flag: whatever it is, it is not ours
