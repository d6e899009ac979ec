"""member replace: one command for a member that is gone, safe to repeat at any point.

Each round reads the members anew and takes the one step that is missing (`missing_step`): so it does not matter who
took the former ones, whether an answer was lost on the way, or how often the command is given.

    add the new member as a learner  ->  it is started and catches up  ->  promote  ->  remove the old one

The new member comes first, so that the data has one more copy at each point of the way; only where both have the
same peer URLs the old one has to go first.
"""

import enum
import threading
import time
from collections.abc import Sequence
from typing import Any

from zetcd.base import errors
from zetcd.cli.ctl import member as ctl
from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import BAD_ARGS, BAD_FEATURE, ERROR, Exit
from zetcd.wire.client import (
    MemberAddRequest,
    MemberListRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
)

PAUSE_S = 0.5
_PASSES = frozenset(
    error.message
    for error in (
        errors.LEARNER_NOT_READY, errors.UNHEALTHY, errors.NOT_ENOUGH_STARTED, errors.TOO_MANY_REQUESTS,
        errors.NO_LEADER, errors.NOT_LEADER, errors.LEADER_CHANGED,
        # Somebody else took the step meanwhile, the next round sees it:
        errors.PEER_URL_EXISTS, errors.MEMBER_NOT_FOUND, errors.MEMBER_NOT_LEARNER,
    )
)  # fmt: skip
"""What may be over in a moment."""


_Request = MemberAddRequest | MemberPromoteRequest | MemberRemoveRequest


class Step(enum.Enum):
    """What is missing."""

    ADD, PROMOTE, REMOVE, NOTHING, UNKNOWN = range(5)


def missing_step(
    members: Sequence[dict[str, Any]], removed: Sequence[int], old: int, urls: Sequence[str]
) -> tuple[Step, int]:
    """The next step, and the id of the new member (0 while there is none). members, removed: as member_list has them.
    UNKNOWN: old is no member and has never been one."""
    wanted = {_address(url) for url in urls}
    present = any(member["ID"] == old for member in members)
    for member in members:
        if member["ID"] != old and {_address(url) for url in member.get("peerURLs", ())} == wanted:
            step = Step.PROMOTE if member.get("isLearner") else Step.REMOVE if present else Step.NOTHING
            return step, member["ID"]
    if not present:
        return (Step.ADD if old in removed else Step.UNKNOWN), 0
    own = next(member.get("peerURLs", ()) for member in members if member["ID"] == old)
    return (Step.REMOVE if wanted & {_address(url) for url in own} else Step.ADD), 0


def _address(url: str) -> str:
    return url.strip().rpartition("://")[2]


def pause(seconds: float) -> None:
    """Nothing tells when a member has caught up: ask again after a while."""
    threading.Event().wait(seconds)


def replace(console: Console) -> None:
    """The member replace command."""
    if not console.args:
        raise Exit(BAD_ARGS, "member ID is not provided")
    old = ctl.identified(console.args[0])
    name = ctl.added_name(console, 1)
    urls = ctl.peer_urls(console)
    ctl.check_urls(console, urls)
    if console.format != "simple":
        raise Exit(BAD_FEATURE, f"{console.format} not supported as output format")
    _Replacement(console, old, name, urls).run()


class _Replacement:
    """One run of the command."""

    def __init__(self, console: Console, old: int, name: str, urls: list[str]) -> None:
        self._console = console
        self._old, self._name, self._urls = old, name, urls
        self._until = time.monotonic() + console.parsed.seconds("wait")
        self._did = False
        self._told = False
        self._last = ""

    def run(self) -> None:
        """Step by step. Raises Exit where a step is refused for good, or the time is over."""
        while True:
            listed = self._console.call(MemberListRequest())
            cluster, members = listed["header"]["cluster_id"], listed["members"]
            step, new = missing_step(members, listed.get("removed", ()), self._old, self._urls)
            if step is Step.UNKNOWN:
                raise Exit(ERROR, errors.MEMBER_NOT_FOUND.message)
            if step is Step.NOTHING:
                already = "" if self._did else " already"
                self._console.line(f"Member {self._old:x} has been replaced by {new:x}{already}")
                return
            if step is Step.ADD:
                self._take(MemberAddRequest(self._urls, isLearner=True), "added to cluster {:x} as learner", cluster)
            elif step is Step.REMOVE:
                self._take(MemberRemoveRequest(self._old), "removed from cluster {:x}", cluster)
            else:
                self._tell_how_to_start(members, new)
                self._take(MemberPromoteRequest(new), "promoted in cluster {:x}", cluster)

    def _take(self, request: _Request, done: str, cluster: int) -> None:
        """One step, or a pause before it is tried again."""
        from zetcd.session.errors import Error

        try:
            reply = self._console.client.call(request, timeout=self._console.timeout)
        except Error as error:
            if error.message not in _PASSES and not error.outcome_unknown:
                raise Exit(ERROR, error.message) from None
            self._last = error.message
            self._wait(request.ID if isinstance(request, MemberPromoteRequest) else 0)
            return
        self._did = True
        about = reply["member"]["ID"] if isinstance(request, MemberAddRequest) else request.ID
        self._console.line(f"Member {about:x} {done.format(cluster)}")

    def _tell_how_to_start(self, members: list[dict[str, Any]], new: int) -> None:
        if self._told:
            return
        self._told = True
        started = next(bool(member.get("name")) for member in members if member["ID"] == new)
        if not started:
            self._console.line(f"Start member {new:x} on an empty data directory with")
            for line in ctl.start_settings(members, new, self._name, self._urls):
                self._console.line(line)
        self._console.line(f"Waiting until member {new:x} has caught up")

    def _wait(self, new: int) -> None:
        """Until the next try. Raises Exit where the time is over."""
        if time.monotonic() + PAUSE_S > self._until:
            where = f"member {new:x} is a learner still" if new else "nothing has changed"
            raise Exit(ERROR, f"{where} ({self._last}): repeat this command to go on")
        pause(PAUSE_S)
