"""What etcdctl is made to do on either server, beside the scenarios that zetcdctl is held to (`tests/compat/ctl`)."""

import signal
from collections.abc import Callable

from tests.compat.ctl.member_scenarios import ANY
from tests.compat.ctl.scenarios import SCENARIOS as SHARED
from tests.compat.ctl.scenarios import Scenario, marked, revision, wait_for_keys
from tests.compat.ctl.sides import Side
from tests.compat.ctl.test_three_members import endpoints, leadership, learner, learners, voters
from tests.compat.ctl.trios import TrioSide


def further_reads(side: Side) -> None:
    """Flags that the shared scenarios leave out."""
    for name in ("1", "2", "3"):
        side.quiet("put", f"more/{name}", name)
    for form in side.formats:
        side.run("get", "--prefix", "more/", "--keys-only", "-w", form)
        side.run("get", "more/1", "more/3", "--limit", "1", "-w", form)
        side.run("get", "more/1", "--rev", str(revision(side) - 2), "-w", form, label=f"get at a revision -w {form}")
    side.run("get", "--prefix", "more/", "--count-only")
    side.run("put", "large", stdin="x" * (1600 * 1024), label="put of 1600 KiB")
    side.run("put", "large", stdin="x" * (1400 * 1024), label="put of 1400 KiB")
    side.run("get", "large", "-w", "fields", label="get of 1400 KiB")
    side.run("del", "large")
    side.run("compaction", "--", "-1")
    side.run("compaction", "0")
    start = marked(side, "more/w")
    with side.background("watch --progress-notify", "watch", "more/w", f"--rev={start}", "--progress-notify") as it:
        it.wait_for(b"marker")
    side.run("watch", "more/w", "--rev", "-1", "--prefix", "more/x")


def nested(side: Side) -> None:
    """Transactions of the captures that the shared scenarios leave out."""
    side.quiet("put", "n/1", "v1")
    for text in (
        "\n\nput n/1 a\nput n/1 b\n\n",
        "\nput n/1 a\ndel n/1\n\n\n",
        "\nput n/1 a --prev-kv\nget n/1 --rev 2\n\n\n",
        "\nget n/1 --rev 99999\n\n\n",
        "\nput --ignore-value n/absent\n\n\n",
        'value("n/1") = "x"\n\nput n/1 "new value with spaces"\n\nput n/1 \\"q\\"\n\n',
    ):
        for form in side.formats:
            side.run("txn", "-w", form, stdin=text)


def snapshots(side: Side) -> None:
    """Saved, looked at, restored by etcdctl's own means."""
    side.quiet("put", "snap/k", "v")
    name = f"saved/{side.endpoint.rsplit(':', 1)[1]}"  # each side its own
    (side.directory / "saved").mkdir(exist_ok=True)
    side.run("snapshot", "save", name, label="snapshot save to a file")
    for form in side.formats:
        side.run("snapshot", "status", name, "-w", form, label=f"snapshot status -w {form}")
    side.run("snapshot", "status", "no-such-file")
    side.run("snapshot", "status")
    side.run("snapshot", "save")
    side.run("snapshot", "save", "no-such-directory/x", label="snapshot save elsewhere")
    restored = ("--data-dir", f"{name}.data", "--name", "r1", "--initial-cluster", "r1=http://127.0.0.1:12396")
    urls = ("--initial-advertise-peer-urls", "http://127.0.0.1:12396")
    side.run("snapshot", "restore", name, *restored, *urls, label="snapshot restore")
    side.run("snapshot", "restore", name, *restored, *urls, label="snapshot restore twice")
    both = f"--endpoints={side.endpoint},http://127.0.0.1:1"
    side.run("snapshot", "save", both, name, endpoint=False, label="snapshot save of two endpoints")


def defragmentation(side: Side) -> None:
    """Of one member."""
    for form in side.formats:
        side.run("defrag", "-w", form)
    side.run("defrag", "--cluster")
    side.run("defrag", "argument")
    side.run(
        "defrag", "--endpoints=127.0.0.1:1", "--dial-timeout=300ms", "--command-timeout=600ms", endpoint=False,
        label="defrag of nobody",
    )  # fmt: skip


def mirrors(side: Side) -> None:
    """make-mirror to the server itself, under another prefix: what is there already, and what comes."""
    for name in ("1", "2"):
        side.quiet("put", f"source/{name}", name)
    words = ("make-mirror", side.endpoint, "--no-dest-prefix=false", "--dest-prefix=mirrored/", "--prefix=source/")
    with side.background("make-mirror", *words, end=signal.SIGTERM):
        wait_for_keys(side, "mirrored/1", 1)
        wait_for_keys(side, "mirrored/2", 1)
        side.quiet("put", "source/3", "later")
        wait_for_keys(side, "mirrored/3", 1)
        side.quiet("del", "source/1")
        _wait_for_deletion(side, "mirrored/1")
    side.run("get", "--prefix", "mirrored/")
    side.run("make-mirror", label="make-mirror to nowhere")


def _wait_for_deletion(side: Side, key: str) -> None:
    start = revision(side)
    if not side.quiet("get", key):
        return
    with side.background("", "watch", key, f"--rev={start + 1}") as it:
        it.wait_for(b"DELETE\n")


def authentication_off(side: Side) -> None:
    """Who brings a password all the same."""
    side.run("auth", "status", label="auth status")
    side.run("get", "foo", "--user", "root:x", label="get with a user")
    side.run("get", "foo", "--user", "root", "--password", "x", label="get with a user and a password")


def enabling(side: Side) -> None:
    """With everything that etcd wants for it; etcdctl makes the role root by itself. Leaves nothing behind."""
    side.run("user", "add", "root:rootpw")
    side.run("auth", "enable", label="auth enable with a root user")
    root = ("--user", "root:rootpw")
    side.run("user", "get", "root", *root, label="user get root")
    side.run("auth", "disable", *root, label="auth disable by root")
    side.run("user", "delete", "root")
    side.run("role", "delete", "root")


def checks(side: Side) -> None:
    """Minutes: etcdctl's own judgement of the server. Every line but its figures is compared."""
    side.run("check", "perf", "--load=s", limit_s=120)
    side.run("check", "datascale", "--load=s", limit_s=240)
    side.run("get", "--prefix", "/etcdctl-check", "--keys-only", label="checks leave nothing")


ONE_MEMBER: tuple[Scenario, ...] = (
    *SHARED,
    further_reads,
    nested,
    snapshots,
    defragmentation,
    mirrors,
    authentication_off,
    enabling,
)


def maintenance(side: TrioSide) -> None:
    """What goes to each of several members."""
    every = ",".join(side.trio.urls.values())
    side.run("defrag", f"--endpoints={every}", endpoint=False, label="defrag of all endpoints")
    side.run("defrag", "--cluster", label=f"defrag --cluster {ANY}")
    side.run("snapshot", "save", f"--endpoints={every}", "x.db", endpoint=False, label="snapshot save of three")
    for form in side.formats:
        for command in ("status", "health", "hashkv"):
            side.run(
                "endpoint", command, f"--endpoints={every}", "-w", form, endpoint=False,
                label=f"endpoint {command} of three -w {form} {ANY}",
            )  # fmt: skip
    for number, url in enumerate(side.trio.urls.values()):
        side.run("get", "k", "-w", "json", f"--endpoints={url}", endpoint=False, label=f"get of member {number}")
        side.run("put", "k", "v", f"--endpoints={url}", endpoint=False, label=f"put to member {number}")
        name = f"{number}.db"
        side.run("snapshot", "save", f"--endpoints={url}", name, endpoint=False, label=f"snapshot save {number}")
        side.run("snapshot", "status", name, label=f"snapshot status {number}")


def locks_across(side: TrioSide) -> None:
    """Holder and waiter at different members."""
    first, second, third = side.trio.urls.values()
    side.endpoint = first
    with side.background("lock at the first", "lock", "across") as held:
        held.wait_for(b"across/")
        side.endpoint = second
        with side.background("lock at the second", "lock", "across") as waiting:
            wait_for_keys(side, "across", 2)
            held.process.send_signal(signal.SIGTERM)
            waiting.wait_for(b"across/")
    side.endpoint = third
    side.run("get", "--prefix", "across", label="no lock is left")


def users_across(side: TrioSide) -> None:
    """Made at one member, changed at the next, seen at all."""
    first, second, third = side.trio.urls.values()
    side.endpoint = first
    side.run("user", "add", "u:p", label="user add at the first")
    side.run("user", "add", "v", "--no-password", label="a second user")
    side.endpoint = second
    side.run("role", "add", "r", label="role add at the second")
    side.run("role", "grant-permission", "r", "readwrite", "--prefix", "k/", label="grant at the second")
    side.endpoint = third
    side.run("user", "grant-role", "u", "r", label="grant-role at the third")
    for number, url in enumerate(side.trio.urls.values()):
        side.endpoint = url
        for words in ("user list", "user get u --detail", "role get r", "role list"):
            side.run(*words.split(), "-w", "json", label=f"{words} at member {number}")
    for words in ("role delete r", "user delete u", "user delete v"):
        side.run(*words.split(), label=f"{words} at the last")


THREE_MEMBERS: tuple[Callable[[TrioSide], None], ...] = (
    endpoints, maintenance, locks_across, users_across, leadership, learners, learner, voters,
)  # fmt: skip
