"""The one exception a client sees, and which refusals prove that nothing was applied.

A write may be sent again only if it certainly was not applied: it never left this process, or the server refused it
before it reached the log. `refused_for_sure` is that list; every other failure of a write leaves its outcome unknown.
"""

from zetcd.base import errors as etcd
from zetcd.wire.replies import ErrorMap


class Error(Exception):
    """A call that failed.

    code and status are gRPC's (``11``, ``"OUT_OF_RANGE"``), message is etcd's text.
    outcome_unknown: the request was a write and may have been applied, now or later; nobody may repeat it blindly.
    compact_revision: of a watch below the compaction, the lowest revision that can still be read; otherwise 0.
    detail: what the client knows beyond the message, for example the endpoint and the last refusal.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        outcome_unknown: bool = False,
        compact_revision: int = 0,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.outcome_unknown = outcome_unknown
        self.compact_revision = compact_revision
        self.detail = detail

    @property
    def status(self) -> str:
        """The gRPC name of the code."""
        return etcd.STATUS.get(self.code, "UNKNOWN")

    def __str__(self) -> str:
        return f"{self.message} ({self.detail})" if self.detail else self.message


CLIENT_CLOSED = "zetcd: the client is closed"
DEADLINE = "context deadline exceeded"  # etcd's client says it so

_UNDECIDED = frozenset({etcd.UNAVAILABLE, etcd.DEADLINE_EXCEEDED, etcd.UNKNOWN, etcd.INTERNAL, etcd.CANCELED})
_NEVER_APPENDED = frozenset(
    error.message
    for error in (etcd.NO_LEADER, etcd.NOT_LEADER, etcd.TOO_MANY_REQUESTS, etcd.STOPPED, etcd.LEARNER_UNSUPPORTED)
)
_NOT_NOW = _NEVER_APPENDED | {etcd.UNHEALTHY.message}
"""Never appended either, but not to be tried again at once: a disk hangs, or a majority is in danger."""


def refused_for_sure(error: ErrorMap) -> bool:
    """Whether the server says that the request never reached the log, so that even a write may be sent again."""
    return error.message in _NEVER_APPENDED


def worth_repeating(error: ErrorMap) -> bool:
    """Whether a read that failed so may succeed a moment later or elsewhere."""
    return error.code == etcd.UNAVAILABLE or error.message in _NEVER_APPENDED


def leaves_unknown(error: ErrorMap) -> bool:
    """Whether a write that failed so may have been applied nevertheless."""
    return error.code in _UNDECIDED and error.message not in _NOT_NOW
