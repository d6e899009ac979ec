r"""txn: a transaction in lines of text, from a pipe or typed.

Three lists, each ended by an empty line: compares, operations for success, operations for failure.

    compare:    target("key") result "operand"      target: ver(sion) c(reate) m(od) val(ue) lease; result: = != < >
    operation:  a put, get or del command line with its flags

Words of an operation are separated by blanks; ``"..."`` is read with Go's escapes, ``'...'`` as it stands. Operands of
numeric targets are decimal, a lease's is hexadecimal, as everywhere on this command line.
"""

import re
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from msgspec import Struct

from zetcd.cli.ctl import flags, golang, kv
from zetcd.cli.ctl.console import Console
from zetcd.cli.ctl.exits import BAD_ARGS, INVALID_INPUT, Exit
from zetcd.cli.ctl.flags import HELP
from zetcd.cli.ctl.tree import DEL_FLAGS, GET_FLAGS, PUT_FLAGS
from zetcd.wire.client import CompareMap, DeleteRangeOp, PutOp, RangeOp, RequestOp, TxnRequest
from zetcd.wire.entry import CompareResult, CompareTarget

_BLANK = r"[ \t\n\f\r]"
_WORD = re.compile(
    r'"(?:[^"\\]|\\.)*"' r"|'[^']*'" rf"|[^'\"{_BLANK[1:-1]}][^{_BLANK[1:-1]}]*[^'\"{_BLANK[1:-1]}]?", re.DOTALL
)
_QUOTED = r'"(?:[^"\\]|\\.)*"|`[^`]*`'
_COMPARE = re.compile(rf"\s*(?:({_QUOTED})(?:\)\s*(?:(\S+)\s*({_QUOTED})?)?)?)?")
_RESULTS = {
    "=": CompareResult.EQUAL,
    "!=": CompareResult.NOT_EQUAL,
    ">": CompareResult.GREATER,
    "<": CompareResult.LESS,
}
_TARGETS = {
    "ver": CompareTarget.VERSION,
    "version": CompareTarget.VERSION,
    "c": CompareTarget.CREATE,
    "create": CompareTarget.CREATE,
    "m": CompareTarget.MOD,
    "mod": CompareTarget.MOD,
    "val": CompareTarget.VALUE,
    "value": CompareTarget.VALUE,
    "lease": CompareTarget.LEASE,
}
_OPERANDS = {
    CompareTarget.VERSION: "version",
    CompareTarget.CREATE: "create_revision",
    CompareTarget.MOD: "mod_revision",
    CompareTarget.LEASE: "lease",
}
_OPS = {"put": PUT_FLAGS, "get": GET_FLAGS, "del": DEL_FLAGS}


def txn(console: Console) -> None:
    """The txn command."""
    if console.args:
        raise Exit(BAD_ARGS, "txn command does not accept argument")
    console.check_format()
    ask = console.parsed.on("interactive")
    compares = [parse_compare(line) for line in _asked(console, ask, "compares:")]
    success = [parse_op(line) for line in _asked(console, ask, "success requests (get, put, del):")]
    failure = [parse_op(line) for line in _asked(console, ask, "failure requests (get, put, del):")]
    console.show("txn", console.call(TxnRequest(compares, success, failure)))


def _asked(console: Console, ask: bool, prompt: str) -> Iterator[str]:
    """Lines of one list, one by one: a typing error ends it where it was made."""
    if ask:
        console.line(prompt)
    return read_lines(sys.stdin.buffer)


def read_lines(source: BinaryIO) -> Iterator[str]:
    """Lines up to the next empty one, blanks around them removed. Raises Exit at the end of the input."""
    while True:
        raw = source.readline()
        if not raw.endswith(b"\n"):
            raise Exit(INVALID_INPUT, "EOF")
        line = raw.decode("utf-8", "surrogateescape").strip()
        if not line:
            return
        yield line


def words(line: str) -> list[str]:
    """The words of a line, quotes undone. Raises Exit where a quoted one is not Go's."""
    found = []
    for word in _WORD.findall(line):
        if word[0] == "'":
            found.append(word[1:-1])
        elif word[0] == '"':
            try:
                found.append(golang.unquote(word).decode("utf-8", "surrogateescape"))
            except ValueError as error:
                raise Exit(INVALID_INPUT, str(error)) from None
        else:
            found.append(word)
    return found


def parse_compare(line: str) -> CompareMap:
    """One compare. Raises Exit."""
    target, bracket, rest = line.partition("(")
    if not bracket:
        raise Exit(INVALID_INPUT, f"malformed comparison: {line}")
    key, result_sign, operand = _operands(line, target, rest)
    what = _TARGETS.get(target)
    if what is None:
        raise Exit(INVALID_INPUT, f"malformed comparison: {line} (unknown target {target})")
    result = _RESULTS.get(result_sign)
    if result is None:
        raise Exit(INVALID_INPUT, f"malformed comparison: {line} (unknown result {result_sign})")
    return _compare(line, key, result, what, operand)


def _operands(line: str, target: str, rest: str) -> tuple[bytes, str, bytes]:
    """Key, result and operand of ``"key") = "operand"``; the complaint shows how much of it could be read."""
    match = _COMPARE.match(rest)
    assert match is not None  # it matches even nothing
    key, sign, operand = (part or "" for part in match.groups())
    try:
        read = [golang.unquote(part) if part else b"" for part in (key, operand)]
    except ValueError as error:
        raise Exit(INVALID_INPUT, f"malformed comparison: {line} ({error})") from None
    if not operand:
        got = f"got {target}({golang.quote(read[0])}) {sign} {golang.quote(b'')}"
        raise Exit(INVALID_INPUT, f"malformed comparison: {line}; {got}")
    return read[0], sign, read[1]


def _compare(line: str, key: bytes, result: int, target: CompareTarget, operand: bytes) -> CompareMap:
    if target == CompareTarget.VALUE:
        return CompareMap(key, int(result), int(target), value=operand)
    try:
        number = golang.parse_int(operand.decode("utf-8", "replace"), 16 if target == CompareTarget.LEASE else 10)
    except ValueError:
        raise Exit(INVALID_INPUT, f"invalid txn compare request: {line}") from None
    field: dict[str, Any] = {_OPERANDS[target]: number}
    return CompareMap(key, int(result), int(target), **field)


def parse_op(line: str) -> RequestOp:
    """One operation. Raises Exit."""
    found = words(line)
    if len(found) < 2:
        raise Exit(INVALID_INPUT, f"invalid txn compare request: {line}")
    names = [name for name in _OPS if name == found[0]] or [name for name in _OPS if name.startswith(found[0])]
    if len(names) != 1:
        raise Exit(INVALID_INPUT, f"invalid txn request: {line}")
    try:
        parsed = flags.parse((*_OPS[names[0]], HELP), found[1:])
    except Exit:
        raise Exit(INVALID_INPUT, f"invalid txn request: {line}") from None
    if parsed.on("help"):
        raise Exit(INVALID_INPUT, f"invalid txn request: {line}")
    if names[0] == "put":
        put = kv.put_request(parsed, may_read_stdin=False)
        return RequestOp(request_put=PutOp(**_fields(put, PutOp)))
    if names[0] == "get":
        return RequestOp(request_range=RangeOp(**_fields(kv.get_request(parsed), RangeOp)))
    return RequestOp(request_delete_range=DeleteRangeOp(**_fields(kv.delete_request(parsed), DeleteRangeOp)))


def _fields(request: Struct, op: type[Struct]) -> dict[str, Any]:
    """What the request and the operation of the same name share: all but the token."""
    return {name: getattr(request, name) for name in op.__struct_fields__}
