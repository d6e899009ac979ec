"""What raft starts with: its log, the configuration, and who the members are.

fresh, --initial-cluster-state=new   the bootstrap entries, the same on every founder
fresh, existing                      nothing: the leader, which knows this member, sends the log or a snapshot
restart                              what wal and store have; the flags count no more
restart, --force-new-cluster         the same, cut where it is known to be committed, and entries behind it that
remove everybody else: an operator's word that they will never come back
"""

from dataclasses import dataclass

from zetcd.base.errors import Refusal
from zetcd.base.settings import Settings
from zetcd.cluster.membership import bootstrap_blocks, bootstrap_members, forced_blocks, founders
from zetcd.raft.log import Log
from zetcd.raft.recovery import Recovery
from zetcd.wire.entry import MemberChange, decode_entries
from zetcd.wire.local import ConfState, MemberList, Opened
from zetcd.wire.results import MemberRow


@dataclass(frozen=True, slots=True)
class Start:
    """conf and known hold from the start; what apply says of entries below conf_from does not: those are the founders,
    or a forced change, one after the other, and count only as a whole."""

    log: Log
    conf: ConfState
    known: MemberList | None
    conf_from: int


def found(settings: Settings, recovery: Recovery, opened: Opened, member: int) -> Start:
    """From what wal and apply have told. Raises Refusal."""
    joins = settings.initial_cluster_state != "new"
    members = [] if joins else bootstrap_members(settings.initial_cluster, settings.initial_cluster_token)
    log = recovery.build(opened.index, opened.term, bootstrap_blocks(members))
    rows = founders(log.blocks_from(1)) if not log.base_index else []
    conf, known = opened.conf, opened.members
    if conf is None or opened.index < len(rows):
        # Until the store knows the members, the founding ones are the configuration.
        conf, known = ConfState([row[0] for row in rows]), MemberList(rows, [])
    if rows and not log.stable:
        _check_identity(rows, member)  # they come from the flags
    if settings.force_new_cluster:
        return _force(log, recovery.hard_state.term, known, member)
    return Start(log, conf, known, len(rows))


def _check_identity(rows: list[MemberRow], member: int) -> None:
    """A data directory belongs to one member of one cluster, whatever the flags say now."""
    if not any(row[0] == member for row in rows):
        shown = ", ".join(f"{row[1]}={','.join(row[2])}" for row in rows)
        raise Refusal(
            f"the data directory belongs to member {member:x}, which is not in --initial-cluster {shown}: give the "
            "flags it was made with, or another --data-dir"
        )


def _force(log: Log, term: int, known: MemberList | None, member: int) -> Start:
    rows = {row[0]: row for row in known.members} if known is not None else {}
    for block in log.blocks_from(log.applied + 1):
        if block.kind and block.last <= log.committed:
            [entry] = decode_entries(block.count, block.data)
            change = entry.command
            if isinstance(change, MemberChange) and change.member not in rows:
                rows[change.member] = (change.member, change.name, change.peer_urls, [], True)
    if member not in rows:
        raise Refusal(
            f"--force-new-cluster: the data directory does not know its own member {member:x}: it has not taken part "
            "in a cluster yet, or was removed from it"
        )
    term = max(term, log.term_at(log.committed) or 0)
    if log.last_index > log.committed:
        log.truncate(log.committed + 1)
    for block in forced_blocks(list(rows.values()), member, log.committed, term):
        log.append(block)
    log.commit_to(log.last_index)
    own = rows[member]
    return Start(log, ConfState([member]), MemberList([(*own[:4], False)], []), log.last_index)
