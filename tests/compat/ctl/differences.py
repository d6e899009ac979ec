"""Where zetcdctl prints something else than etcdctl 3.4.23; the reasons are in the table of `docs/zetcdctl.md`.

A difference turns what etcdctl showed into what zetcdctl must show, so that it says exactly how far the two part.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest.mock import ANY


class Shown(NamedTuple):
    """An outcome, masked: lines of stdout (fields of a message for protobuf), lines of stderr, exit code."""

    stdout: list[Any]
    stderr: list[Any]
    code: int


class Difference(NamedTuple):
    """name: the row in docs/zetcdctl.md; steps: which labels (a regular expression, whole label)."""

    name: str
    steps: str
    expected: Callable[[Shown], Shown]


NOTHING = [""]
HEADER = [("cluster_id", "<number>"), ("member_id", "<number>"), ("revision", ANY), ("raft_term", "<number>")]
HEADER_FIELDS = ['"ClusterID" : <number>', '"MemberID" : <number>', ANY, '"RaftTerm" : <term>', ""]
HEADER_MESSAGE = (1, [(3, ANY)])


def _said_once(command: str) -> Callable[[Shown], Shown]:
    def expected(etcd: Shown) -> Shown:
        return Shown(NOTHING, [etcd.stderr[0], f"Run '<ctl>{command} --help' for usage.", ""], etcd.code)

    return expected


def _unknown_command(etcd: Shown) -> Shown:
    end = next(number for number, line in enumerate(etcd.stderr) if line.startswith("Run "))
    return Shown(etcd.stdout, [*etcd.stderr[: end + 1], ""], etcd.code)


def _newer_names(value: Any) -> Any:
    names = {
        "ResponseRange": "response_range",
        "ResponsePut": "response_put",
        "ResponseDeleteRange": "response_delete_range",
    }
    if isinstance(value, list | tuple):
        return type(value)(_newer_names(item) for item in value)
    return names.get(value, value) if isinstance(value, str) else value


def fixed(stdout: list[Any], stderr: list[Any], code: int) -> Callable[[Shown], Shown]:
    """Always this."""
    return lambda _: Shown(stdout, stderr, code)


def _message(*fields: tuple[int, Any]) -> Callable[[Shown], Shown]:
    return fixed([HEADER_MESSAGE, *fields], NOTHING, 0)


def _added(name: str, message: str, value: Any) -> Callable[[Shown], Shown]:
    """One more field at the end of each message within the JSON list of endpoints."""

    def expected(etcd: Shown) -> Shown:
        rows = [[(n, [*v, (name, value)] if n == message else v) for n, v in row] for row in etcd.stdout[0]]
        return etcd._replace(stdout=[rows, ""])

    return expected


def _health_on_stdout(etcd: Shown) -> Shown:
    healthy = [line for line in etcd.stderr if " is healthy: " in line]
    return Shown([*healthy, ""], [line for line in etcd.stderr if line not in healthy], etcd.code)


def _hexadecimal(etcd: Shown) -> Shown:
    def turn(value: Any) -> Any:
        if isinstance(value, list):
            return [turn(item) for item in value]
        if isinstance(value, tuple):
            name, item = value
            return (name, "<hex>" if name in {"cluster_id", "member_id", "ID"} else turn(item))
        return value

    return etcd._replace(stdout=turn(etcd.stdout))


def _renamed_settings(etcd: Shown) -> Shown:
    lines = [line.replace("ETCD_", "ZETCD_", 1) if line.startswith("ETCD_") else line for line in etcd.stdout]
    return etcd._replace(stdout=lines)


def _reason_of_learners(etcd: Shown) -> Shown:
    reason = "etcdserver: rpc not supported for learner"
    return etcd._replace(stderr=[line.replace("context deadline exceeded", reason) for line in etcd.stderr])


def still_learner(etcd: Shown) -> Shown:
    """A member without a name, which is a learner in these scenarios, is shown as one."""

    def mend(value: Any) -> Any:
        if value[:1] == (2,) and isinstance(value[1], list):  # a member as protobuf
            return (2, [*value[1], (5, 1)])
        if isinstance(value, list):
            items = [mend(item) for item in value]
            fields = [item[0] for item in items if isinstance(item, tuple)]
            return [*items, ("isLearner", True)] if "peerURLs" in fields and "name" not in fields else items
        return (value[0], mend(value[1])) if isinstance(value, tuple) else value

    return etcd._replace(stdout=mend(etcd.stdout))


def says(message: str) -> Callable[[Shown], Shown]:
    """This error."""
    return lambda _: Shown(NOTHING, [f"Error: {message}", ""], 1)


def without_grants(etcd: Shown) -> Shown:
    """A role that was granted nothing."""
    return etcd._replace(stdout=[line for line in etcd.stdout if not str(line).startswith("\t")])


def granted_once(etcd: Shown) -> Shown:
    """Of two grants for the same range the second counts."""
    (head, (perm, grants)), *rest = etcd.stdout
    last = {tuple(field for field in grant if field[0] != "permType"): grant for grant in grants}
    return etcd._replace(stdout=[[head, (perm, list(last.values()))], *rest])


def _schemes(etcd: Shown) -> Shown:
    stderr = [line.replace("http, https, unix, or unixs", "tcp or http") for line in etcd.stderr]
    return etcd._replace(stderr=stderr)


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "usage after a wrong flag", r"get foo --bogus|get foo -x|get --w=json foo|get foo -w", _said_once(" get")
    ),
    Difference("usage after a wrong flag", r"--(command-timeout|hex).* get foo", _said_once(" get")),
    Difference("usage after a wrong flag", r"get range/a --(limit.*|prefix=maybe|rev bogus)", _said_once(" get")),
    Difference("usage after a wrong flag", r"del a --rev 1", _said_once(" del")),
    Difference("usage after a wrong flag", r"put -k2 -- -v", _said_once(" put")),
    Difference(
        "usage after a wrong flag",
        r"txn with 'get t/1 --bogus'",
        lambda etcd: etcd._replace(stderr=etcd.stderr[-2:]),
    ),
    Difference("unknown command said once", r"bogus|gett foo", _unknown_command),
    Difference(
        "unknown flag before the command",
        r"--bogus get foo",
        fixed(NOTHING, ["Error: unknown flag: --bogus", "Run '<ctl> get --help' for usage.", ""], 1),
    ),
    Difference("empty variables", r"ETCDCTL_HEX= get cl", lambda etcd: etcd._replace(stderr=NOTHING)),
    Difference(
        "help texts",
        r"lease|lease bogus|member|endpoint|endpoint bogus|-- get cl",
        lambda etcd: etcd._replace(stdout=ANY),
    ),
    Difference(
        "names in a transaction's JSON", r"txn -w json .*", lambda etcd: etcd._replace(stdout=_newer_names(etcd.stdout))
    ),
    Difference("lease compares", r"txn <<< 'lease\(.*", fixed(["SUCCESS", "", "t/1", "y", ""], NOTHING, 0)),
    Difference(
        "unknown results in compares",
        r"txn <<< 'mod\(\"t/1\"\) >= .*",
        fixed(NOTHING, ['Error: malformed comparison: mod("t/1") >= "0" (unknown result >=)', ""], 3),
    ),
    Difference(
        "single quotes",
        r"after \"put t/1 'single quoted'\"",
        lambda etcd: etcd._replace(
            stdout=[{'"Value" : "s"': '"Value" : "single quoted"'}.get(x, x) for x in etcd.stdout]
        ),
    ),
    Difference("endpoint health on stdout", r"endpoint health .*simple.*|endpoint health --cluster", _health_on_stdout),
    Difference(
        "endpoint health on stdout", r"endpoint health (of one alive, one dead|with one dead.*)", _health_on_stdout
    ),
    Difference("alarms carry a header", r"alarm \w+ -w json", fixed([[("header", HEADER)], ""], NOTHING, 0)),
    Difference("alarms carry a header", r"alarm \w+ -w fields", fixed(HEADER_FIELDS, NOTHING, 0)),
    Difference("alarms carry a header", r"alarm \w+ -w protobuf", _message()),
    Difference("further fields in JSON", r"endpoint status .*-w json.*", _added("dbSizeQuota", "Status", 2**31)),
    Difference("further fields in JSON", r"endpoint hashkv .*-w json.*", _added("hash_revision", "HashKV", ANY)),
    Difference("leases as protobuf", r"lease list -w protobuf", _message()),
    Difference("leases as protobuf", r"lease grant 100 -w protobuf", _message((2, "<number>"), (3, 100))),
    Difference("leases as protobuf", r"lease revoke -w protobuf", _message()),
    Difference("leases as protobuf", r"lease keep-alive --once -w protobuf", _message((2, "<number>"), (3, 500))),
    Difference("leases as protobuf", r"lease timetolive  -w protobuf", _message((2, "<number>"), (3, ANY), (4, 500))),
    Difference(
        "leases as protobuf",
        r"lease timetolive --keys -w protobuf",
        _message((2, "<number>"), (3, ANY), (4, 500), (5, b"lk1")),
    ),
    Difference("leases as protobuf", r"lease timetolive .*-w protobuf of none", _message((2, 0x1234), (3, "<number>"))),
    Difference("reasons of learners", r".* on a learner", _reason_of_learners),
    Difference("settings of a new member", r"member add -w simple.*", _renamed_settings),
    Difference("learners that are updated", r"member update -w (json|protobuf) .*", still_learner),
    Difference("peer URL schemes", r"member (add|update) .*--peer-urls=bogus", _schemes),
    Difference("member list --hex", r"member list --hex -w json", _hexadecimal),
    Difference("permissions on nothing", r"grant of nothing \d", says("etcdserver: invalid auth management")),
    Difference("permissions on nothing", r"role get of nothing \d", without_grants),
    Difference(
        "permissions on nothing", r"revoke of nothing \d", says("etcdserver: permission is not granted to the role")
    ),
    Difference("ranges granted twice", r"role get twice -w json", granted_once),
    Difference("leases of locks", r"no lock's lease is left", fixed(["found 0 leases", ""], NOTHING, 0)),
    Difference("exit code of a locked command", r"lock lock/a -- sh -c exit 3", lambda etcd: etcd._replace(code=3)),
    Difference(
        "end of input of watch -i",
        r"watch -i( <<< '')?",
        lambda etcd: etcd._replace(stderr=[*etcd.stderr[:-2], "Error: error reading watch request line: EOF", ""]),
    ),
)


def expected(label: str, etcd: Shown) -> Shown:
    """What zetcdctl must show where etcdctl showed this."""
    for difference in DIFFERENCES:
        if re.fullmatch(difference.steps, label, re.DOTALL):
            etcd = difference.expected(etcd)
    return etcd
