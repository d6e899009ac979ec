"""Where etcdctl shows something else on zetcd than on etcd 3.4.23, and why. Anything else fails.

A difference turns what was shown on etcd into what must be shown on zetcd, so that it says exactly how far they part.
One that changes nothing in a run that has such steps fails that run.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.compat.ctl.differences import (
    HEADER,
    HEADER_FIELDS,
    HEADER_MESSAGE,
    NOTHING,
    Shown,
    fixed,
    still_learner,
)


class Difference(NamedTuple):
    """steps: which labels (a regular expression, whole label); reason: for a user of etcd."""

    steps: str
    expected: Callable[[Shown], Shown]
    reason: str


ALARMS = "an alarm's answer carries a header, as from etcd 3.5 on; 3.4 leaves it out, and its etcdctl panics over that"
LEARNERS = "a learner whose URLs are changed is still shown as a learner; etcd's answer forgets it (its list does not)"
KEYS = "a snapshot holds what etcd 3.5 keeps in one: two rows (confState, term) more than 3.4 does"
AUTH = "users and roles are not kept yet: none can be added, so none is found"


def _more_keys(etcd: Shown) -> Shown:
    def more(line: Any) -> Any:
        if isinstance(line, list):
            return [(name, value + 2 if name == "totalKey" else value) for name, value in line]
        return re.sub(r'^(<hash>, \d+, |"Keys" : )(\d+)', lambda found: f"{found[1]}{int(found[2]) + 2}", line)

    return etcd._replace(stdout=[more(line) for line in etcd.stdout])


def _says(message: str) -> Callable[[Shown], Shown]:
    return lambda _: Shown(NOTHING, [f"Error: {message}", ""], 1)


def _nobody(etcd: Shown) -> Shown:
    return Shown(NOTHING, NOTHING, 0)


_NO_USER = _says("etcdserver: user name not found")
_NO_ROLE = _says("etcdserver: role name not found")
_LATER = _says(
    "rpc error: code = Unimplemented desc = zetcd: users and roles are not kept yet; authentication comes with a later "
    "version"
)

DIFFERENCES: tuple[Difference, ...] = (
    Difference(r"alarm list -w json", fixed([[("header", HEADER)], ""], NOTHING, 0), ALARMS),
    Difference(r"alarm list -w fields", fixed(HEADER_FIELDS, NOTHING, 0), ALARMS),
    Difference(r"alarm list -w protobuf", fixed([HEADER_MESSAGE], NOTHING, 0), ALARMS),
    Difference(r"member update -w (json|protobuf) .*", still_learner, LEARNERS),
    Difference(r"snapshot status (-w (simple|json|fields)|\d)", _more_keys, KEYS),
    Difference(r"(role|user) add \w+.*", _LATER, AUTH),
    Difference(r"(user list of three|role list of one)", _nobody, AUTH),
    Difference(r"(user (grant-role|get|passwd|delete) u\d.*)", _NO_USER, AUTH),
    Difference(r"(role (grant-permission|get|delete) r1.*)", _NO_ROLE, AUTH),
)
