"""Rows of text that the simple and the table format share, and the tables' headings."""

from zetcd.cli.ctl.formats import Reply
from zetcd.cli.ctl.golang import human_bytes

MEMBER_HEADINGS = ("ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER")
HEALTH_HEADINGS = ("ENDPOINT", "HEALTH", "TOOK", "ERROR")
SNAPSHOT_HEADINGS = ("HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE")
HASH_HEADINGS = ("ENDPOINT", "HASH")
STATUS_HEADINGS = (
    "ENDPOINT",
    "ID",
    "VERSION",
    "DB SIZE",
    "IS LEADER",
    "IS LEARNER",
    "RAFT TERM",
    "RAFT INDEX",
    "RAFT APPLIED INDEX",
    "ERRORS",
)


def truth(value: object) -> str:
    """Go's spelling of a bool."""
    return "true" if value else "false"


def member_rows(reply: Reply) -> list[list[str]]:
    """One row per member; one that has never started has no name."""
    return [
        [
            f"{member.get('ID', 0):x}",
            "started" if member.get("name") else "unstarted",
            member.get("name", ""),
            ",".join(member.get("peerURLs", ())),
            ",".join(member.get("clientURLs", ())),
            truth(member.get("isLearner")),
        ]
        for member in reply.get("members", ())
    ]


def status_rows(reply: Reply) -> list[list[str]]:
    """One row per endpoint that answered."""
    rows = []
    for entry in reply["endpoints"]:
        status = entry["reply"]
        member = status["header"].get("member_id", 0)
        rows.append(
            [
                entry["endpoint"],
                f"{member:x}",
                status.get("version", ""),
                human_bytes(status.get("dbSize", 0)),
                truth(status.get("leader", 0) == member),
                truth(status.get("isLearner")),
                str(status.get("raftTerm", 0)),
                str(status.get("raftIndex", 0)),
                str(status.get("raftAppliedIndex", 0)),
                ", ".join(status.get("errors", ())),
            ],
        )
    return rows


def hash_rows(reply: Reply) -> list[list[str]]:
    """One row per endpoint that answered."""
    return [[entry["endpoint"], str(entry["reply"].get("hash", 0))] for entry in reply["endpoints"]]


def health_rows(reply: Reply) -> list[list[str]]:
    """One row per endpoint."""
    return [[e["endpoint"], truth(e["health"]), e["took"], e["error"]] for e in reply["endpoints"]]


def snapshot_rows(reply: Reply) -> list[list[str]]:
    """The one row of a snapshot file."""
    size = human_bytes(reply["totalSize"])
    return [[f"{reply['hash']:x}", str(reply["revision"]), str(reply["totalKey"]), size]]
