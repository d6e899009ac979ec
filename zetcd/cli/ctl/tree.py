"""The tree of commands: names, flags, help, and where the code of each is (loaded only when it runs).

The sentences are ours; names, flags and defaults are etcdctl's. What etcdctl 3.4.23 lacks is marked with its origin.
"""

from collections import namedtuple

from zetcd.cli.ctl.flags import Flag, flag

_Command = namedtuple("_Command", "path use short long flags target")  # noqa: PYI024 (typing costs start-up time)


class Command(_Command):
    """One command. path: its words; target: ``module:function``, empty for a group."""

    __slots__ = ()
    path: tuple[str, ...]
    use: str
    short: str
    long: str
    flags: tuple[Flag, ...]
    target: str

    @property
    def name(self) -> str:
        """Its words, joined."""
        return " ".join(self.path)


PROGRAM = "zetcdctl"
API_VERSION = "3.4"
DEFAULT_ENDPOINT = "tcp://127.0.0.1:2378"

GLOBAL_FLAGS: tuple[Flag, ...] = (
    flag("cacert", "", "CA bundle that TLS servers are verified with"),
    flag("cert", "", "TLS certificate file of this client"),
    flag("command-timeout", 5.0, "time limit of a short command, dialing not counted", duration=True),
    flag("debug", False, "print the settings in use on stderr"),
    flag("dial-timeout", 2.0, "time limit for a connection to come up", duration=True),
    flag("discovery-srv", "", "domain whose SRV records name the endpoints", "d"),
    flag("discovery-srv-name", "", "service name within the SRV records"),
    flag("endpoints", [DEFAULT_ENDPOINT], "ZeroMQ endpoints, comma separated"),
    flag("hex", False, "print byte strings in hexadecimal"),
    flag("insecure-discovery", True, "accept SRV records that name unencrypted endpoints"),
    flag("insecure-skip-tls-verify", False, "do not verify the server's certificate (for tests only)"),
    flag("insecure-transport", True, "connect without transport security"),
    flag("keepalive-time", 2.0, "interval of the connection's heartbeats", duration=True),
    flag("keepalive-timeout", 6.0, "silence after which a connection counts as dead", duration=True),
    flag("key", "", "TLS key file of this client"),
    flag("password", "", "password; --user then holds the name alone"),
    flag("user", "", "name[:password] to authenticate with; asks where the password is missing"),
    flag("write-out", "simple", "output format (fields, json, protobuf, simple, table)", "w"),
)

_PREV_KV = "print the key-value pairs as they were before"
_PREFIX = "all keys that begin with the given one"
_FROM_KEY = "all keys at or after the given one, in byte order"
_REV_FILTER = "leave out keys whose {0} revision is {1} than this (etcdctl 3.6)"

GET_FLAGS = (
    flag("consistency", "l", "l for linearizable, s for serializable"),
    flag("count-only", False, "print the number of keys alone; needs -w fields (etcdctl 3.5)"),
    flag("from-key", False, _FROM_KEY),
    flag("keys-only", False, "leave the values out"),
    flag("limit", 0, "at most so many keys"),
    flag("max-create-rev", 0, _REV_FILTER.format("creation", "greater")),
    flag("max-mod-rev", 0, _REV_FILTER.format("modification", "greater")),
    flag("min-create-rev", 0, _REV_FILTER.format("creation", "less")),
    flag("min-mod-rev", 0, _REV_FILTER.format("modification", "less")),
    flag("order", "", "ASCEND or DESCEND (ASCEND where it is left out)"),
    flag("prefix", False, _PREFIX),
    flag("print-value-only", False, "values without keys; with -w simple only"),
    flag("rev", 0, "read at this revision"),
    flag("sort-by", "", "CREATE, KEY, MODIFY, VALUE or VERSION"),
)
PUT_FLAGS = (
    flag("ignore-lease", False, "keep the key's lease"),
    flag("ignore-value", False, "keep the key's value"),
    flag("lease", "0", "lease to attach the key to, in hexadecimal"),
    flag("prev-kv", False, _PREV_KV),
)
DEL_FLAGS = (
    flag("from-key", False, _FROM_KEY),
    flag("prefix", False, _PREFIX),
    flag("prev-kv", False, _PREV_KV),
    flag("range", False, "take the second argument as the end of a range (etcdctl 3.5; implied)"),
)
WATCH_FLAGS = (
    flag("interactive", False, "read watch and progress commands from standard input", "i"),
    flag("prefix", False, _PREFIX),
    flag("prev-kv", False, _PREV_KV),
    flag("progress-notify", False, "print the revision reached when nothing happens for a while (etcdctl 3.5)"),
    flag("rev", 0, "revision to start at"),
)
_CHECK_FLAGS = (
    flag("auto-compact", False, "compact up to the last revision afterwards"),
    flag("auto-defrag", False, "accepted, does nothing: the store compacts its files by itself"),
    flag("load", "s", "workload: s(small), m(medium), l(large), xl(xLarge)"),
)
_PEER_URLS = flag("peer-urls", "", "comma separated peer URLs of the member")
_CLUSTER = flag("cluster", False, "ask every endpoint of the member list")

_INTERACTIVE = flag("interactive", True, "ask for the password; false: it is the first word of the input")
_PERMISSION_FLAGS = (flag("from-key", False, _FROM_KEY), flag("prefix", False, _PREFIX))

_PUT_LONG = """\
Writes one key.

A value that begins with '-' would be read as a flag; '--' ends the flags:

$ put <key> -- <value>
$ put -- <key> <value>

Without a value argument (and without '--ignore-value') the value is read from standard input:

$ put <key> < file"""

_WATCH_LONG = """\
Prints every change of the keys until it is interrupted.

With '-- command' the command runs once per event, with ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY
and ETCD_WATCH_VALUE in its environment (the last three quoted). ZETCDCTL_WATCH_KEY and ZETCDCTL_WATCH_RANGE_END
(or ETCDCTL_...) stand for the arguments."""

_TXN_LONG = """\
Reads compares, an empty line, operations for success, an empty line, operations for failure, an empty line:

value("k1") = "v1"
mod("k2") > "0"

put k1 "new value"
get k2

del k1 --prev-kv

Targets: ver(sion), c(reate), m(od), val(ue), lease (in hexadecimal). Results: = != < >."""

_REPLACE_LONG = """\
Adds the new member as a learner, prints what it is to be started with, waits until it has caught up, makes it a voter,
and removes the old one. Given again, at any point and from anywhere, it goes on where it stopped."""

_COMPLETION_LONG = """\
Prints a script that completes commands and flags:

bash: source <(zetcdctl completion bash)
zsh:  zetcdctl completion zsh > "${fpath[1]}/_zetcdctl"
fish: zetcdctl completion fish > ~/.config/fish/completions/zetcdctl.fish"""


def _command(  # noqa: PLR0917 (a table reads best by position)
    use: str, short: str, target: str, flags: tuple[Flag, ...] = (), long: str = "", group: str = ""
) -> Command:
    words = [*group.split(), use.split(maxsplit=1)[0]]
    return Command(tuple(words), f"{group} {use}".strip(), short, long, flags, target)


def _group(use: str, short: str) -> Command:
    return Command((use,), f"{use} <subcommand>", short, "", (), "")


COMMANDS: tuple[Command, ...] = (
    _group("alarm", "Alarms of the cluster"),
    _command("disarm", "Clears all alarms", "alarm:disarm", group="alarm"),
    _command("list", "Lists all alarms", "alarm:show", group="alarm"),
    _group("auth", "Authentication"),
    _command("disable", "Switches authentication off", "auth:disable", group="auth"),
    _command("enable", "Switches authentication on", "auth:enable", group="auth"),
    _command("status", "Prints whether it is on (etcdctl 3.5)", "auth:status", group="auth"),
    _group("check", "Checks of a running cluster"),
    _command(
        "datascale [options]",
        "Measures the memory that a number of keys takes on the first endpoint",
        "check:datascale",
        (*_CHECK_FLAGS, flag("prefix", "/etcdctl-check-datascale/", "prefix of the keys it writes")),
        group="check",
    ),
    _command(
        "perf [options]",
        "Measures whether the cluster keeps up with a workload for a minute",
        "check:perf",
        (*_CHECK_FLAGS, flag("prefix", "/etcdctl-check-perf/", "prefix of the keys it writes")),
        group="check",
    ),
    _command(
        "compaction [options] <revision>",
        "Drops the history before a revision",
        "kv:compaction",
        (flag("physical", False, "wait until the old revisions are removed from the store"),),
    ),
    _group("completion", "Completion scripts for shells"),
    _command("bash", "Prints the completion script for bash", "completion:bash", (), _COMPLETION_LONG, "completion"),
    _command("fish", "Prints the completion script for fish", "completion:fish", (), _COMPLETION_LONG, "completion"),
    _command("zsh", "Prints the completion script for zsh", "completion:zsh", (), _COMPLETION_LONG, "completion"),
    _command(
        "defrag [options]",
        "Compacts the files of each endpoint's store",
        "snapshot:defrag",
        (_CLUSTER, flag("data-dir", "", "of a member that is not running: there is nothing to do, and it says so")),
        "The member goes on serving meanwhile. It does most of this by itself: defrag frees the space sooner.",
    ),
    _command("del [options] <key> [range_end]", "Deletes a key or the keys [key, range_end)", "kv:delete", DEL_FLAGS),
    _group("downgrade", "Downgrade of the cluster (etcdctl 3.5)"),
    _command("cancel", "Ends a downgrade that was enabled", "downgrade:cancel", group="downgrade"),
    _command("enable <TARGET_VERSION>", "Begins a downgrade", "downgrade:enable", group="downgrade"),
    _command(
        "validate <TARGET_VERSION>", "Asks whether a downgrade is possible", "downgrade:validate", group="downgrade"
    ),
    _command(
        "elect <election-name> [proposal]",
        "Takes part in a leader election, or observes it",
        "elect:elect",
        (flag("listen", False, "observe only", "l"),),
    ),
    _group("endpoint", "State of the endpoints"),
    _command(
        "hashkv",
        "Prints the hash of each endpoint's history",
        "endpoint:hashkv",
        (_CLUSTER, flag("rev", 0, "hash up to this revision (0: all)")),
        group="endpoint",
    ),
    _command("health", "Asks each endpoint for a linearizable read", "endpoint:health", (_CLUSTER,), group="endpoint"),
    _command(
        "status",
        "Prints the state of each endpoint",
        "endpoint:status",
        (_CLUSTER,),
        "With -w simple the columns are endpoint, ID, version, db size, is leader, is learner, raft term, raft index,\n"
        "raft applied index, errors.",
        "endpoint",
    ),
    _command("get [options] <key> [range_end]", "Reads a key or the keys [key, range_end)", "kv:get", GET_FLAGS),
    _command("help [command]", "Prints what a command does", "about:explain"),
    _group("lease", "Leases"),
    _command("grant <ttl>", "Makes a lease of so many seconds", "lease:grant", group="lease"),
    _command(
        "keep-alive [options] <leaseID>",
        "Renews a lease until it is interrupted",
        "lease:keep_alive",
        (flag("once", False, "renew once and end"),),
        group="lease",
    ),
    _command("list", "Lists all leases", "lease:leases", group="lease"),
    _command("revoke <leaseID>", "Ends a lease and deletes its keys", "lease:revoke", group="lease"),
    _command(
        "timetolive <leaseID> [options]",
        "Prints how long a lease still lives",
        "lease:time_to_live",
        (flag("keys", False, "print the keys attached, too"),),
        group="lease",
    ),
    _command(
        "lock <lockname> [exec-command arg1 arg2 ...]",
        "Holds a named lock until it is interrupted, or while a command runs",
        "lock:lock",
        (flag("ttl", 10, "seconds the lock outlives a holder that is gone"),),
    ),
    _group("member", "Members of the cluster"),
    _command(
        "add <memberName> [options]",
        "Adds a member",
        "member:add",
        (flag("learner", False, "as a learner, which does not vote yet"), _PEER_URLS),
        group="member",
    ),
    _command(
        "list",
        "Lists all members",
        "member:show",
        (),
        "With -w simple the columns are ID, status, name, peer addresses, client addresses, is learner.",
        "member",
    ),
    _command("promote <memberID> [options]", "Makes a learner a voter", "member:promote", group="member"),
    _command("remove <memberID> [options]", "Removes a member", "member:remove", group="member"),
    _command(
        "replace <old memberID> <memberName> [options]",
        "Replaces a member by a new one (not in etcdctl)",
        "replace:replace",
        (_PEER_URLS, flag("wait", 600.0, "how long the new member may take to start and catch up", duration=True)),
        _REPLACE_LONG,
        "member",
    ),
    _command("update <memberID> [options]", "Changes the peer URLs", "member:update", (_PEER_URLS,), group="member"),
    _command("move-leader <target memberID>", "Hands leadership to another member", "member:move_leader"),
    _command(
        "put [options] <key> <value> (<value> can also be given from stdin)",
        "Writes a key",
        "kv:put",
        PUT_FLAGS,
        _PUT_LONG,
    ),
    _group("role", "Roles: what users may do"),
    _command("add <role name>", "Makes a role", "role:add", group="role"),
    _command("delete <role name>", "Deletes a role, and takes it from its users", "role:delete", group="role"),
    _command("get <role name>", "Prints the permissions of a role", "role:get", group="role"),
    _command(
        "grant-permission [options] <role name> <permission type> <key> [endkey]",
        "Lets a role read, write or readwrite a key or the keys [key, endkey)",
        "role:grant_permission",
        _PERMISSION_FLAGS,
        group="role",
    ),
    _command("list", "Lists all roles", "role:show", group="role"),
    _command(
        "revoke-permission <role name> <key> [endkey]",
        "Takes a permission back; the range is that of the grant",
        "role:revoke_permission",
        _PERMISSION_FLAGS,
        group="role",
    ),
    _group("snapshot", "Snapshots of a member's store"),
    _command(
        "save <filename>",
        "Saves the store of the endpoint as a file that etcd reads, too",
        "snapshot:save",
        (),
        "The file is a bbolt database with its SHA-256 behind it: etcdctl and etcdutl restore it.",
        "snapshot",
    ),
    _command(
        "status <filename>",
        "Prints what a snapshot file holds",
        "snapshot:status",
        (),
        "With -w simple the columns are hash, revision, total keys, total size.",
        "snapshot",
    ),
    _command(
        "txn [options]",
        "Runs a transaction read from standard input",
        "txn:txn",
        (flag("interactive", False, "say what is expected next", "i"),),
        _TXN_LONG,
    ),
    _group("user", "Users"),
    _command(
        "add <user name or user:password> [options]",
        "Makes a user",
        "user:add",
        (
            _INTERACTIVE,
            flag("new-user-password", "", "the password; better asked for, since others see command lines"),
            flag("no-password", False, "a user without a password"),
        ),
        group="user",
    ),
    _command("delete <user name>", "Deletes a user", "user:delete", group="user"),
    _command(
        "get <user name> [options]",
        "Prints the roles of a user",
        "user:get",
        (flag("detail", False, "print the permissions of the roles, too"),),
        group="user",
    ),
    _command("grant-role <user name> <role name>", "Gives a user a role", "user:grant_role", group="user"),
    _command("list", "Lists all users", "user:show", group="user"),
    _command("passwd <user name> [options]", "Changes a password", "user:passwd", (_INTERACTIVE,), group="user"),
    _command("revoke-role <user name> <role name>", "Takes a role from a user", "user:revoke_role", group="user"),
    _command("version", "Prints the version of zetcdctl", "about:version"),
    _group("wal", "Log files of a stopped member"),
    _command(
        "dump [options] <directory>",
        "Prints the records of a log",
        "wal",
        (flag("entries", False, "print the commands inside the blocks, too"),),
        group="wal",
    ),
    _command("verify <directory>", "Checks a log as recovery would, and changes nothing", "wal", group="wal"),
    _command(
        "watch [options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
        "Prints changes as they happen",
        "watch:watch",
        WATCH_FLAGS,
        _WATCH_LONG,
    ),
)


def children(path: tuple[str, ...]) -> list[Command]:
    """Commands one word below path."""
    return [c for c in COMMANDS if c.path[:-1] == path]


def lookup(path: tuple[str, ...], word: str) -> Command | None:
    """The command below path that word names: exactly, or as the only one that begins with it."""
    below = children(path)
    matches = [c for c in below if c.path[-1] == word] or [c for c in below if c.path[-1].startswith(word)]
    return matches[0] if len(matches) == 1 else None
