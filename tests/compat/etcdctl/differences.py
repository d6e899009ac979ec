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
    granted_once,
    says,
    still_learner,
    without_grants,
)


class Difference(NamedTuple):
    """steps: which labels (a regular expression, whole label); reason: for a user of etcd."""

    steps: str
    expected: Callable[[Shown], Shown]
    reason: str


ALARMS = "an alarm's answer carries a header, as from etcd 3.5 on; 3.4 leaves it out, and its etcdctl panics over that"
LEARNERS = "a learner whose URLs are changed is still shown as a learner; etcd's answer forgets it (its list does not)"
KEYS = "a snapshot holds what etcd 3.5 keeps in one: two rows (confState, term) more than 3.4 does"
ENABLING = "users and roles are kept; authentication cannot be switched on yet"
EMPTY_RANGES = "a permission on a range that holds no key is refused, as by newer etcd (3.5.30)"
TWICE = "a range stands in a role once; etcd adds it again where another range begins at the same key"


def _more_keys(etcd: Shown) -> Shown:
    def more(line: Any) -> Any:
        if isinstance(line, list):
            return [(name, value + 2 if name == "totalKey" else value) for name, value in line]
        return re.sub(r'^(<hash>, \d+, |"Keys" : )(\d+)', lambda found: f"{found[1]}{int(found[2]) + 2}", line)

    return etcd._replace(stdout=[more(line) for line in etcd.stdout])


_LATER = says(
    "rpc error: code = Unimplemented desc = zetcd: users and roles are kept; authentication itself comes with a later "
    "version"
)

DIFFERENCES: tuple[Difference, ...] = (
    Difference(r"alarm list -w json", fixed([[("header", HEADER)], ""], NOTHING, 0), ALARMS),
    Difference(r"alarm list -w fields", fixed(HEADER_FIELDS, NOTHING, 0), ALARMS),
    Difference(r"alarm list -w protobuf", fixed([HEADER_MESSAGE], NOTHING, 0), ALARMS),
    Difference(r"member update -w (json|protobuf) .*", still_learner, LEARNERS),
    Difference(r"snapshot status (-w (simple|json|fields)|\d)", _more_keys, KEYS),
    Difference(r"auth enable with a root user", _LATER, ENABLING),
    Difference(r"grant of nothing \d", says("etcdserver: invalid auth management"), EMPTY_RANGES),
    Difference(r"role get of nothing \d", without_grants, EMPTY_RANGES),
    Difference(r"revoke of nothing \d", says("etcdserver: permission is not granted to the role"), EMPTY_RANGES),
    Difference(r"role get twice -w json", granted_once, TWICE),
)
