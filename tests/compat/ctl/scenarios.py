"""What both command lines are made to do. Each scenario works under keys of its own and leaves no lease behind.

A watch in the background gives no sign that it has begun, so each starts at a revision before a marker that it must
print first; from then on every change is waited for before the next is made, which fixes what comes in one reply.
"""

import json
import os
import signal
from collections.abc import Callable

from tests.compat.ctl.member_scenarios import members
from tests.compat.ctl.sides import Side
from tests.compat.ctl.user_scenarios import USERS

Scenario = Callable[[Side], None]


def revision(side: Side) -> int:
    """The store's."""
    reply = json.loads(side.quiet("get", "no such key", "-w", "json"))
    number: int = reply["header"]["revision"]
    return number


def put_and_get(side: Side) -> None:
    side.run("put", "foo", "bar")
    side.run("put", "foo", "bar2", "--prev-kv")
    side.run("put", "new", "x", "--prev-kv")
    for form in side.formats:
        side.run("put", "foo", f"bar in {form}", "-w", form)
        side.run("put", "foo", f"bar again in {form}", "--prev-kv", "-w", form)
        side.run("get", "foo", "-w", form)
        side.run("get", "absent", "-w", form)
        side.run("get", "foo", "new", "--limit", "1", "-w", form)
    side.run("get", "foo", "-w=json")
    side.run("get", "foo", "-wjson")
    side.run("get", "foo", "--write-out", "json")
    side.run("get", "foo", "-w", "bogus")
    side.run("put", "foo", "unseen", "-w", "bogus")
    side.run("get", "foo")
    side.run("get", "foo", environment={"ETCDCTL_WRITE_OUT": "json"})
    for words in (
        ("--hex",),
        ("--hex", "-w", "json"),
        ("--hex", "-w", "fields"),
        ("--hex=false",),
        ("--print-value-only",),
    ):
        side.run("get", "foo", *words)
    side.run("get", "foo", "--print-value-only", "-w", "json")
    side.run("get", "foo", "--print-value-only", "--hex")
    side.run("put", "empty", "")
    side.run("put", "", "x")
    side.run("put", "stdin", stdin="from standard input\n")
    side.run("put", "stdin", stdin="")
    side.run("put", "--", "-k", "-v")
    side.run("put", "-k2", "--", "-v")
    side.run("put", "k2", "--", "-v")
    side.run("put", "--ignore-value", "foo")
    side.run("put", "--ignore-value", "foo", "val")
    side.run("put", "--ignore-value", "absent")
    side.run("put", "--ignore-lease", "foo", "bar6")
    side.run("put", "--ignore-lease", "absent", "bar6")
    side.run("put", "--lease=1234abcd", "foo", "bar")
    side.run("put", "--lease=xyz", "foo", "bar")
    side.run("put", "three", "words", "here")
    side.run("put")
    side.run("get")
    side.run("get", "a", "b", "c")


def odd_bytes(side: Side) -> None:
    odd = os.fsdecode(b'odd/\x01\xff"\\\n\xc3\xa9\xe2\x98\x83')
    side.run("put", odd, os.fsdecode(bytes(range(1, 256))), label="put odd")
    for form in ("simple", "json", "fields", "protobuf"):
        side.run("get", odd, "-w", form, label=f"get odd -w {form}")
    side.run("get", odd, "--hex", label="get odd --hex")
    side.run("put", "odd/html", "<a href='&'>")
    side.run("get", "odd/html", "-w", "json")
    side.run("get", "odd/html", "-w", "fields")


def ranges(side: Side) -> None:
    for number, name in enumerate(("c", "a", "d", "b")):
        side.quiet("put", f"range/{name}", str(number))
    side.quiet("put", "range/a", "9")
    side.run("get", "--prefix", "range/")
    side.run("get", "--prefix", "range/", "--keys-only")
    side.run("get", "--prefix", "range/", "--keys-only", "-w", "json")
    side.run("get", "range/b", "range/d")
    side.run("get", "range/d", "range/b")
    side.run("get", "--from-key", "range/c", "--limit", "2")
    side.run("get", "--prefix", "", "--limit", "1", "--keys-only")
    side.run("get", "--from-key", "", "--limit", "1", "--keys-only")
    for target in ("CREATE", "KEY", "MODIFY", "VALUE", "VERSION", "modify"):
        for order in ("ASCEND", "DESCEND", "descend"):
            if target == "VERSION":
                continue  # equal versions come in any order
            side.run("get", "--prefix", "range/", "--sort-by", target, "--order", order)
    side.run("get", "--prefix", "range/", "--sort-by", "CREATE", "--limit", "2", "--order", "DESCEND", "-w", "json")
    side.run("get", "--prefix", "range/", "--order", "DESCEND")
    side.run("get", "--prefix", "range/", "--order", "BOGUS")
    side.run("get", "--prefix", "range/", "--sort-by", "BOGUS")
    side.run("get", "--prefix", "range/", "--from-key")
    side.run("get", "--prefix", "range/", "range/z")
    side.run("get", "range/a", "--consistency", "s")
    side.run("get", "range/a", "--consistency=x")
    for form in side.formats:
        side.run("get", "--prefix", "range/", "--limit", "2", "-w", form)
    side.run("get", "range/a", "--limit", "many")
    side.run("get", "range/a", "--limit")
    side.run("get", "range/a", "--prefix=maybe")
    side.run("get", "range/a", "--rev", "0x1_0")


def revisions(side: Side) -> None:
    start = revision(side)
    for number in range(5):
        side.quiet("put", "rev/k", f"v{number}")
    side.run("get", "rev/k", "--rev", str(start + 2), label="get an old revision")
    side.run("get", "rev/k", "--rev", str(start + 2), "-w", "json", label="get an old revision as json")
    side.run("get", "rev/k", "--rev", str(start), label="get before the key was there")
    side.run("get", "rev/k", "--rev", "-1")
    side.run("get", "rev/k", "--rev", "999999")
    side.run("compaction", str(start + 2), label="compaction at a revision")
    side.run("compaction", str(start + 2), label="compaction at it again")
    side.run("compaction", "999999")
    side.run("compaction", str(start + 3), "--physical", label="compaction --physical")
    side.run("compaction", str(start + 4), "-w", "json", label="compaction -w json")
    side.run("compaction", "abc")
    side.run("compaction")
    side.run("compaction", "1", "2")
    side.run("get", "rev/k", "--rev", str(start + 2), label="get below the compaction")
    side.run("get", "rev/k", "--rev", str(start + 4), label="get at the compaction")
    for form in ("simple", "json", "fields"):
        side.run("watch", "rev/k", "--rev", "1", "-w", form)
    side.run("endpoint", "hashkv", "--rev", "1")
    side.run("endpoint", "hashkv", "--rev", "999999")


def deletes(side: Side) -> None:
    def fill() -> None:
        for name in ("a", "b", "c", "d"):
            side.quiet("put", f"del/{name}", f"value of {name}")

    side.run("del", "del/absent")
    for form in side.formats:
        fill()
        side.run("del", "del/absent", "-w", form)
        side.run("del", "del/a", "-w", form)
        side.run("del", "--prefix", "del/", "--prev-kv", "-w", form)
    fill()
    side.run("del", "del/b", "del/d")
    side.run("del", "--prefix", "del/")
    side.run("del", "--from-key", "zzz")
    side.run("del")
    side.run("del", "a", "b", "c")
    side.run("del", "--prefix", "--from-key", "a")
    side.run("del", "--prefix", "a", "b")
    side.run("del", "a", "--rev", "1")


def transactions(side: Side) -> None:
    side.quiet("put", "t/1", "v1")
    side.quiet("put", "t/2", "v2")
    side.run("txn", stdin='value("t/1") = "v1"\n\nput t/1 "new"\nget t/1\ndel t/2\n\nget t/1\n\n')
    side.run("txn", stdin='value("t/1") = "nope"\n\nput t/1 x\n\nget t/1\n\n')
    for form in side.formats:
        side.run(
            "txn", "-w", form, stdin='mod("t/1") > "0"\n\nput t/1 y --prev-kv\nget t/1\ndel t/2\nget --prefix t/\n\n\n'
        )
        side.run("txn", "-w", form, stdin='mod("t/1") < "0"\n\n\n\n')
    for compare in (
        'version("t/1") > "0"', 'ver("t/1") != "0"', 'create("t/1") != "1"', 'c("absent") = "0"', 'm("t/1") > "0"',
        'val("t/1") < "z"', 'value("absent") != "x"', 'value("t/1")  =  "y" trailing',
        'bogus("t/1") = "1"', 'mod("t/1") = "abc"', "mod(t/1) = 1", "mod", 'mod("t/1"', 'mod("t/1") =',
        'value("\\x74/1") = "\\u0079"', "value(`t/1`) = `y`", 'value("t/1)',
    ):  # fmt: skip
        side.run("txn", stdin=f"{compare}\n\nget t/1\n\n\n")
    side.run("txn", stdin='lease("t/1") = "0"\n\nget t/1\n\n\n')
    side.run("txn", stdin='mod("t/1") >= "0"\n\nget t/1\n\n\n')
    for op in (
        "put", "put t/1", "get", "del", "bogus t/1 x", "put t/1 'single quoted'", 'put t/1 "a\\tb"', "put t/1 \\q",
        "p t/1 short", "get t/1 --rev 99999999", "put t/1 --ignore-value", "put t/absent --ignore-value",
        "get t/1 --bogus", "get t/1 --consistency=s", "get --from-key t/1 --limit 1", "del t/1 t/2 --prev-kv",
        "put t/1 v --lease=123456", "get t/1 --sort-by BOGUS", "put t/1 a b c", 'put t/1 ""', "  put   t/1   v  ",
    ):  # fmt: skip
        side.run("txn", stdin=f"\n{op}\n\n\n", label=f"txn with {op!r}")
        side.run("get", "t/1", "-w", "fields", label=f"after {op!r}")
    side.run("txn", stdin="\n\nput t/1 a\nput t/1 b\n\n")
    side.run("txn", stdin="\nput t/1 a\ndel t/1\n\n\n")
    side.run("txn", stdin="\n\n\n")
    side.run("txn", stdin="")
    side.run("txn", stdin="\n\n")
    side.run("txn", stdin='mod("t/1") > "0"')
    side.run("txn", "argument", stdin="\n\n\n")
    side.run("txn", "--interactive", stdin='mod("t/1") > "0"\n\nput t/1 int\n\nget t/1\n\n')
    side.run("txn", "-i", stdin="bogus\n\n\n\n")
    many = "".join(f"put t/many/{number} v\n" for number in range(129))
    side.run("txn", stdin=f"\n{many}\n\n", label="txn of 129 operations")


def watches(side: Side) -> None:
    for form in side.formats[:4]:
        for words in ((), ("--prev-kv",)):
            _watch_changes(side, form, *words)
    side.run("watch", "w/table", "-w", "table", "--rev", str(marked(side, "w/table")), label="watch -w table")
    side.run("watch", "w/bogus", "-w", "bogus")
    _watch_range(side)
    _watch_command(side)
    side.run("watch")
    side.run("watch", "--rev", "1")
    side.run("watch", "w/a", "--")
    side.run("watch", "w/a", "w/b", "--prefix")
    side.run("watch", "w/a", environment={"ETCDCTL_WATCH_KEY": "w/b"})
    side.run("watch", environment={"ETCDCTL_WATCH_RANGE_END": "w/b"})
    key, start = "w/env", marked(side, "w/env")
    environment = {"ETCDCTL_WATCH_KEY": key}
    with side.background(
        "watch with the key in the environment", "watch", f"--rev={start}", environment=environment
    ) as it:
        it.wait_for(b"marker")


def marked(side: Side, key: str) -> int:
    """Writes the marker; the revision to start watching at."""
    side.quiet("put", key, "marker")
    return revision(side)


def _watch_changes(side: Side, form: str, *words: str) -> None:
    key = f"w/{form}{''.join(words)}"
    start = marked(side, key)
    size = {"simple": b"PUT\n", "json": b'"kv"', "fields": b'"Lease"', "protobuf": key.encode()}[form]
    with side.background(
        f"watch -w {form} {' '.join(words)}", "watch", key, f"--rev={start}", "-w", form, *words
    ) as it:
        # A message names the key once, and with --prev-kv its former row as well; for the marker there is none.
        more = 2 if form == "protobuf" and words else 1
        it.wait_for(size)
        side.quiet("put", key, "1")
        it.wait_for(size, 1 + more)
        side.quiet("put", key, "2")
        it.wait_for(size, 1 + 2 * more)
        side.quiet("del", key)
        it.wait_for(b"DELETE\n" if form == "simple" else size, 1 if form == "simple" else 1 + 3 * more)


def _watch_range(side: Side) -> None:
    start = marked(side, "w/r/a")
    for form in ("simple", "json"):
        event = {"simple": b"PUT\n", "json": b'"kv"'}[form]
        with side.background(
            f"watch --prefix -w {form}", "watch", "--prefix", "w/r/", f"--rev={start}", "-w", form
        ) as it:
            it.wait_for(event)
            count = it.output.count(event)
            side.quiet("txn", stdin=f"\nput w/r/a {form}\nput w/r/b {form}\ndel w/r/absent\n\n\n")
            it.wait_for(event, count + 2)
        start = marked(side, "w/r/a")
    with side.background("watch key range_end", "watch", "w/r/a", "w/r/b", f"--rev={start}") as it:
        it.wait_for(b"marker")
    with side.background("watch ended by SIGINT", "watch", "w/r/a", f"--rev={start}", end=signal.SIGINT) as it:
        it.wait_for(b"marker")
    with side.background("watch with three arguments", "watch", "w/r/a", "w/r/b", "w/r/c", f"--rev={start}") as it:
        it.wait_for(b"marker")


def _watch_command(side: Side) -> None:
    start = marked(side, "w/c")
    show = "env | grep ^ETCD_WATCH | sort; echo $0 ran; cat"
    words = ("watch", "w/c", f"--rev={start}", "--", "sh", "-c", show)
    with side.background("watch -- command", *words) as it:
        it.wait_for(b"ran")
        side.quiet("put", "w/c", 'with "quotes"\n')
        it.wait_for(b"ran", 2)
        side.quiet("del", "w/c")
        it.wait_for(b"ran", 3)
    start = marked(side, "w/c")
    failing = ("watch", "w/c", f"--rev={start}", "--", "sh", "-c", "exit 7")
    side.run(*failing, label="watch -- a command that fails")
    missing = ("watch", "w/c", f"--rev={start}", "--", "no-such-command", "argument")
    side.run(*missing, label="watch -- a command that is not there")


def interactive_watch(side: Side) -> None:
    start = marked(side, "wi/a")
    with side.background("watch -i", "watch", "-i", end=0) as it:
        it.type(f"watch wi/a --rev {start}")
        it.wait_for(b"marker")
        it.type("progress")
        it.wait_for(b"progress notify")
        it.type("cancel 0")
        it.type("")
        it.type("watch")
        side.quiet("put", "wi/a", "1")
        it.wait_for(b"wi/a", 2)
        it.type(f'watch "wi/b" --prev-kv --rev {revision(side)}')
        it.type("bogus")
    side.run("watch", "-i", stdin="watch x --bogus\n")
    side.run("watch", "-i", stdin="watch x -- \n")
    side.run("watch", "-i", stdin="")
    side.run("watch", "-i", "-w", "bogus", stdin="")


def leases(side: Side) -> None:
    side.run("lease", "list")
    for form in side.formats:
        side.run("lease", "list", "-w", form)
    for form in side.formats[:4]:
        side.run("lease", "grant", "100", "-w", form)
    side.run("lease", "grant", "100")
    for lease in side.quiet("lease", "list").split("\n")[1:-1]:
        side.quiet("lease", "revoke", lease)
    for ttl in ("1", "0", "9000000001", "abc", "99999999999999999999"):
        side.run("lease", "grant", ttl)
    side.run("lease", "grant", "--", "-1")
    side.run("lease", "grant")
    side.run("lease", "grant", "1", "2")
    lease = side.quiet("lease", "grant", "500").split()[1]
    side.quiet("put", f"--lease={lease}", "lk1", "v1")
    for form in side.formats:
        side.run("get", "lk1", "-w", form, label=f"get a leased key -w {form}")
    for form in side.formats:
        for words in ((), ("--keys",)):
            label = f"lease timetolive {' '.join(words)} -w {form}"
            side.run("lease", "timetolive", lease, *words, "-w", form, label=label)
            side.run("lease", "timetolive", "1234", *words, "-w", form, label=f"{label} of none")
        side.run("lease", "keep-alive", "--once", lease, "-w", form, label=f"lease keep-alive --once -w {form}")
    side.quiet("put", f"--lease={lease}", "lk2", "v2")  # not before: etcd prints keys of a lease in random order
    side.run("put", "--ignore-lease", "lk1", "v1b")
    side.run("get", "lk1", "-w", "json", label="the lease stays")
    side.run("put", "lk1", "v1c")
    side.run("get", "lk1", "-w", "json", label="the lease goes")
    side.run("lease", "revoke", lease, label="lease revoke of a lease")
    side.run("lease", "revoke", lease, label="lease revoke of it again")
    side.run("get", "lk2")
    for form in side.formats[1:]:
        lease = side.quiet("lease", "grant", "500").split()[1]
        side.run("lease", "revoke", lease, "-w", form, label=f"lease revoke -w {form}")
    side.run("lease", "timetolive", "zz")
    side.run("lease", "timetolive")
    side.run("lease", "revoke")
    side.run("lease", "revoke", "zz")
    side.run("lease", "keep-alive")
    side.run("lease", "keep-alive", "--once", "1234")
    side.run("lease", "keep-alive", "1234")
    side.run("lease", "keep-alive", "1234", "-w", "json")
    lease = side.quiet("lease", "grant", "3").split()[1]
    with side.background("lease keep-alive of a lease", "lease", "keep-alive", lease, end=0) as it:
        it.wait_for(b"keepalived with TTL(3)", 3)
        side.quiet("lease", "revoke", lease)
        it.wait_for(b"expired or revoked")
    side.run("lease", "bogus")
    side.run("lease")


def locks(side: Side) -> None:
    side.run("lock", "lock/a", "echo", "locked")
    side.run("lock", "lock/a", "--", "sh", "-c", "exit 3")
    side.run("lock", "lock/a", "--ttl", "5", "--", "sh", "-c", "echo $ETCD_LOCK_KEY $ETCD_LOCK_REV; cat; echo err >&2")
    side.run("lock", "lock/a", "no-such-command")
    side.run("lock")
    side.run("get", "--prefix", "lock/", label="no lock is left")
    for form in side.formats[:4]:
        with side.background(f"lock -w {form}", "lock", "lock/b", "-w", form, end=signal.SIGINT) as it:
            it.wait_for(b"lock/b" if form != "json" else b'"kvs"')
    with side.background("lock that is held", "lock", "lock/c") as it:
        it.wait_for(b"lock/c")
        side.run("get", "--prefix", "lock/c", "--keys-only", label="the lock's key")
        with side.background("lock that waits", "lock", "lock/c", "echo", "never") as other:
            wait_for_keys(side, "lock/c", 2)
            assert not other.output
    side.run("get", "--prefix", "lock/", label="no lock is left at the end")
    side.run("lease", "list", label="no lock's lease is left")


def wait_for_keys(side: Side, prefix: str, count: int) -> None:
    """Until so many keys have the prefix: waits on a watch of it, not on the clock."""
    start = revision(side)
    if len(side.quiet("get", "--prefix", prefix, "--keys-only").split()) >= count:
        return
    with side.background("", "watch", "--prefix", prefix, f"--rev={start + 1}") as it:
        it.wait_for(b"PUT\n")


def elections(side: Side) -> None:
    side.run("elect")
    side.run("elect", "el")
    side.run("elect", "el", "v", "-l")
    side.run("elect", "el", "v", "x")
    for form in side.formats[:4]:
        with side.background(f"elect -w {form}", "elect", f"el/{form}", "v1", "-w", form) as it:
            it.wait_for({"json": b'"kvs"', "fields": b'"Count"'}.get(form, b"v1"))
            with side.background(f"elect -l -w {form}", "elect", "-l", f"el/{form}", "-w", form) as observer:
                observer.wait_for({"json": b'"kvs"', "fields": b'"Count"'}.get(form, b"v1"))
                with side.background(f"elect second -w {form}", "elect", f"el/{form}", "v2", "-w", form) as second:
                    wait_for_keys(side, f"el/{form}", 2)
                    it.process.send_signal(signal.SIGTERM)
                    second.wait_for({"json": b'"kvs"', "fields": b'"Count"'}.get(form, b"v2"))
                    count = 2 if form in {"json", "fields"} else 1
                    observer.wait_for({"json": b'"kvs"', "fields": b'"Count"'}.get(form, b"v2"), count)
    side.run("get", "--prefix", "el/", label="no candidate is left")


def endpoints(side: Side) -> None:
    side.quiet("put", "ep/k", "v")
    for form in side.formats:
        side.run("endpoint", "health", "-w", form)
        side.run("endpoint", "status", "-w", form)
        side.run("endpoint", "hashkv", "-w", form)
        side.run("member", "list", "-w", form)
        side.run("alarm", "list", "-w", form)
        side.run("alarm", "disarm", "-w", form)
    side.run("endpoint", "status", "--cluster")
    side.run("endpoint", "health", "--cluster")
    side.run("endpoint", "hashkv", "--cluster")
    side.run("member", "list", "--hex")
    side.run("member", "list", "--hex", "-w", "json")
    side.run("alarm", "list", "argument")
    side.run("alarm", "disarm", "argument")
    side.run("endpoint")
    side.run("endpoint", "bogus")
    dead = ("--endpoints=127.0.0.1:1", "--dial-timeout=300ms", "--command-timeout=600ms")
    side.run("endpoint", "health", *dead, endpoint=False)
    side.run("endpoint", "status", *dead, endpoint=False)
    side.run("endpoint", "hashkv", *dead, endpoint=False)
    side.run("get", "foo", *dead, endpoint=False)
    side.run("put", "foo", "bar", *dead, endpoint=False)
    both = f"--endpoints={side.endpoint},127.0.0.1:1"
    for command in ("health", "status", "hashkv"):
        side.run(
            "endpoint", command, both, *dead[1:], endpoint=False, label=f"endpoint {command} of one alive, one dead"
        )


def command_lines(side: Side) -> None:
    side.run("version")
    side.run("bogus")
    side.run("gett", "foo")
    side.run("--bogus", "get", "foo")
    side.run("get", "foo", "--bogus")
    side.run("get", "foo", "-x")
    side.run("get", "--w=json", "foo")
    side.run("get", "foo", "-w")
    side.run("--command-timeout", "5", "get", "foo")
    side.run("--command-timeout=abc", "get", "foo")
    side.run("--hex=perhaps", "get", "foo")
    side.quiet("put", "cl", "x")
    side.run("-w", "json", "get", "cl")
    side.run("g", "cl")
    side.run("endp", "hea", "-w", "fields")
    side.run("--", "get", "cl")
    side.run("get", "--", "cl")
    side.run("get", "cl", environment={"ETCDCTL_ENDPOINTS": side.endpoint}, label="endpoints twice")
    side.run(
        "get", "cl", environment={"ETCDCTL_ENDPOINTS": side.endpoint}, endpoint=False, label="endpoints by variable"
    )
    side.run("get", "cl", "--hex", environment={"ETCDCTL_HEX": "true"})
    side.run("get", "cl", environment={"ETCDCTL_HEX": "true"})
    side.run("get", "cl", environment={"ETCDCTL_UNKNOWN": "1"})
    side.run("get", "cl", environment={"ETCDCTL_HEX": ""})
    side.run("check", "perf", "--load=bogus")
    side.run("check", "datascale", "--load=bogus")
    side.run("get", "cl", "--cert=")


SCENARIOS: tuple[Scenario, ...] = (
    put_and_get,
    odd_bytes,
    ranges,
    revisions,
    deletes,
    transactions,
    watches,
    interactive_watch,
    leases,
    locks,
    elections,
    endpoints,
    members,
    *USERS,
    command_lines,
)
