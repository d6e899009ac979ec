"""put, get, del and compaction; what a transaction's operations are made of as well (`put_request` and so on)."""

import sys

from zetcd.cli.ctl import golang
from zetcd.cli.ctl.console import Console, octets
from zetcd.cli.ctl.exits import BAD_ARGS, BAD_FEATURE, ERROR, Exit
from zetcd.cli.ctl.flags import Parsed
from zetcd.wire.client import CompactRequest, DeleteRangeRequest, PutRequest, RangeRequest
from zetcd.wire.entry import SortOrder, SortTarget

_PUT_ARGUMENTS = "put command needs 1 argument and input from stdin or 2 arguments"
_TARGETS = {
    "": SortTarget.KEY,
    "KEY": SortTarget.KEY,
    "CREATE": SortTarget.CREATE,
    "MODIFY": SortTarget.MOD,
    "VALUE": SortTarget.VALUE,
    "VERSION": SortTarget.VERSION,
}
_ORDERS = {"": SortOrder.NONE, "ASCEND": SortOrder.ASCEND, "DESCEND": SortOrder.DESCEND}


def prefix_end(prefix: bytes) -> bytes:
    """The range_end that makes [prefix, range_end) all keys with this prefix."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else b"\0"


# -- put ---------------------------------------------------------------------------------------------------------------
def put(console: Console) -> None:
    """The put command."""
    console.show("put", console.call(put_request(console.parsed, may_read_stdin=True)))


def put_request(parsed: Parsed, *, may_read_stdin: bool) -> PutRequest:
    """The request of a put command line. Raises Exit."""
    args = parsed.args
    ignore_value = parsed.on("ignore-value")
    if not args:
        raise Exit(BAD_ARGS, _PUT_ARGUMENTS)
    if ignore_value and len(args) > 1:
        raise Exit(BAD_ARGS, "put command needs only 1 argument when 'ignore-value' is set")
    value = b""
    if not ignore_value:
        value = octets(args[1]) if len(args) > 1 else sys.stdin.buffer.read() if may_read_stdin else b""
        if not value and len(args) < 2:
            raise Exit(BAD_ARGS, _PUT_ARGUMENTS)
    try:
        lease = golang.parse_int(parsed.text("lease"), 16)
    except ValueError as error:
        raise Exit(BAD_ARGS, f"bad lease ID ({error}), expecting ID in Hex") from None
    return PutRequest(octets(args[0]), value, lease, parsed.on("prev-kv"), ignore_value, parsed.on("ignore-lease"))


# -- get ---------------------------------------------------------------------------------------------------------------
def get(console: Console) -> None:
    """The get command."""
    parsed = console.parsed
    request = get_request(parsed)
    console.check_format()
    if parsed.on("count-only") and console.format != "fields":
        raise Exit(BAD_ARGS, "--count-only is only for `--write-out=fields`")
    reply = console.call(request)
    value_only = parsed.on("print-value-only")
    if value_only and console.format != "simple":
        raise Exit(BAD_ARGS, "print-value-only is only for `--write-out=simple`")
    console.show("get", reply, value_only=value_only)


def get_request(parsed: Parsed) -> RangeRequest:
    """The request of a get command line. Raises Exit."""
    if not parsed.args:
        raise Exit(BAD_ARGS, "get command needs one argument as key and an optional argument as range_end")
    if parsed.on("prefix") and parsed.on("from-key"):
        raise Exit(BAD_ARGS, "`--prefix` and `--from-key` cannot be set at the same time, choose one")
    if parsed.on("keys-only") and parsed.on("count-only"):
        raise Exit(BAD_ARGS, "`--keys-only` and `--count-only` cannot be set at the same time, choose one")
    consistency = parsed.text("consistency")
    if consistency not in ("l", "s"):
        raise Exit(BAD_FEATURE, f"unknown consistency flag {golang.quote(octets(consistency))}")
    key, range_end = _key_range(parsed)
    order = _ORDERS.get(parsed.text("order").upper())
    if order is None:
        raise Exit(BAD_FEATURE, f"bad sort order {parsed.text('order')}")
    target = _TARGETS.get(parsed.text("sort-by").upper())
    if target is None:
        raise Exit(BAD_FEATURE, f"bad sort target {parsed.text('sort-by')}")
    if target == SortTarget.KEY and order == SortOrder.ASCEND:
        order = SortOrder.NONE  # the order the store has anyway; etcd's client sends it so, too
    return RangeRequest(
        key,
        range_end,
        limit=parsed.number("limit"),
        revision=max(parsed.number("rev"), 0),
        sort_order=int(order),
        sort_target=int(target),
        serializable=consistency == "s",
        keys_only=parsed.on("keys-only"),
        count_only=parsed.on("count-only"),
        min_mod_revision=parsed.number("min-mod-rev"),
        max_mod_revision=parsed.number("max-mod-rev"),
        min_create_revision=parsed.number("min-create-rev"),
        max_create_revision=parsed.number("max-create-rev"),
    )


def _key_range(parsed: Parsed) -> tuple[bytes, bytes]:
    key = octets(parsed.args[0])
    if parsed.on("prefix") or parsed.on("from-key"):
        if len(parsed.args) > 1:
            raise Exit(BAD_ARGS, "too many arguments, only accept one argument when `--prefix` or `--from-key` is set")
        if not key:
            return b"\0", b"\0"
        return key, prefix_end(key) if parsed.on("prefix") else b"\0"
    return key, octets(parsed.args[1]) if len(parsed.args) > 1 else b""


# -- del ---------------------------------------------------------------------------------------------------------------
def delete(console: Console) -> None:
    """The del command."""
    console.show("delete", console.call(delete_request(console.parsed)))


def delete_request(parsed: Parsed) -> DeleteRangeRequest:
    """The request of a del command line. Raises Exit."""
    if len(parsed.args) not in (1, 2):
        raise Exit(BAD_ARGS, "del command needs one argument as key and an optional argument as range_end")
    if parsed.on("prefix") and parsed.on("from-key"):
        raise Exit(BAD_ARGS, "`--prefix` and `--from-key` cannot be set at the same time, choose one")
    key, range_end = _key_range(parsed)
    return DeleteRangeRequest(key, range_end, parsed.on("prev-kv"))


# -- compaction --------------------------------------------------------------------------------------------------------
def compaction(console: Console) -> None:
    """The compaction command."""
    if len(console.args) != 1:
        raise Exit(BAD_ARGS, "compaction command needs 1 argument")
    try:
        revision = golang.parse_int(console.args[0], 10)
    except ValueError as error:
        raise Exit(ERROR, str(error)) from None
    console.call(CompactRequest(revision, console.parsed.on("physical")))
    console.line(f"compacted revision {revision}")
