"""The grammar of transactions."""

import io

import pytest

from zetcd.cli.ctl.exits import Exit
from zetcd.cli.ctl.txn import parse_compare, parse_op, read_lines, words
from zetcd.wire.client import CompareMap, DeleteRangeOp, PutOp, RangeOp, RequestOp


@pytest.mark.parametrize(
    ("line", "compare"),
    [
        ('mod("k1") > "0"', CompareMap(b"k1", 1, 2)),
        ('m("k1") = "5"', CompareMap(b"k1", 0, 2, mod_revision=5)),
        ('ver("k") != "3"', CompareMap(b"k", 3, 0, version=3)),
        ('version("k") < "3"', CompareMap(b"k", 2, 0, version=3)),
        ('c("k") = "7"', CompareMap(b"k", 0, 1, create_revision=7)),
        ('create("k") = "7"', CompareMap(b"k", 0, 1, create_revision=7)),
        ('val("k") = "a b"', CompareMap(b"k", 0, 3, value=b"a b")),
        ('value("\\x00\\"") = `raw\\n`', CompareMap(b'\x00"', 0, 3, value=b"raw\\n")),
        ('value("k)(") = "x" and more', CompareMap(b"k)(", 0, 3, value=b"x")),
        ('lease("k") = "1b3ca1fbacaf1e65"', CompareMap(b"k", 0, 4, lease=0x1B3CA1FBACAF1E65)),
    ],
)
def test_compares(line: str, compare: CompareMap) -> None:
    assert parse_compare(line) == compare


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("mod", "malformed comparison: mod"),
        ("mod(k) = 1", 'malformed comparison: mod(k) = 1; got mod("")  ""'),
        ('mod("k"', 'malformed comparison: mod("k"; got mod("k")  ""'),
        ('mod("k") =', 'malformed comparison: mod("k") =; got mod("k") = ""'),
        ('bogus("k") = "1"', 'malformed comparison: bogus("k") = "1" (unknown target bogus)'),
        ('mod("k") >= "1"', 'malformed comparison: mod("k") >= "1" (unknown result >=)'),
        ('mod("k") = "x"', 'invalid txn compare request: mod("k") = "x"'),
        ('lease("k") = "xyz"', 'invalid txn compare request: lease("k") = "xyz"'),
        (r'value("\q") = "x"', r'malformed comparison: value("\q") = "x" (invalid syntax)'),
    ],
)
def test_malformed_compares(line: str, complaint: str) -> None:
    with pytest.raises(Exit) as caught:
        parse_compare(line)
    assert (caught.value.code, caught.value.text) == (3, complaint)


@pytest.mark.parametrize(
    ("line", "op"),
    [
        ('put k1 "new value"', RequestOp(request_put=PutOp(b"k1", b"new value"))),
        ("put k1 'it''s'", RequestOp(request_put=PutOp(b"k1", b"it"))),
        ("put k v --prev-kv --lease=1f", RequestOp(request_put=PutOp(b"k", b"v", 0x1F, prev_kv=True))),
        ("put --ignore-value k", RequestOp(request_put=PutOp(b"k", ignore_value=True))),
        ("get k1", RequestOp(request_range=RangeOp(b"k1"))),
        ("get --prefix k --limit 3", RequestOp(request_range=RangeOp(b"k", b"l", 3))),
        ("del k1 k5 --prev-kv", RequestOp(request_delete_range=DeleteRangeOp(b"k1", b"k5", prev_kv=True))),
        ("d --from-key k", RequestOp(request_delete_range=DeleteRangeOp(b"k", b"\0"))),
    ],
)
def test_operations(line: str, op: RequestOp) -> None:
    assert parse_op(line) == op


@pytest.mark.parametrize(
    ("line", "code", "complaint"),
    [
        ("put", 3, "invalid txn compare request: put"),
        ("put k", 128, "put command needs 1 argument and input from stdin or 2 arguments"),
        ("watch k", 3, "invalid txn request: watch k"),
        ("get k --bogus", 3, "invalid txn request: get k --bogus"),
        ("get k --sort-by BOGUS", 4, "bad sort target BOGUS"),
        ('put k "\\q"', 3, "invalid syntax"),
    ],
)
def test_malformed_operations(line: str, code: int, complaint: str) -> None:
    with pytest.raises(Exit) as caught:
        parse_op(line)
    assert (caught.value.code, caught.value.text) == (code, complaint)


def test_words() -> None:
    assert words("""a  "b c" 'd e' \\"f\\" g'h'""") == ["a", "b c", "d e", '\\"f\\"', "g'h'"]
    assert words('"\\xff"')[0].encode("utf-8", "surrogateescape") == b"\xff"
    assert words("") == []


def test_lines_end_at_an_empty_one() -> None:
    source = io.BytesIO(b"  one \ntwo\n \nthree")
    assert list(read_lines(source)) == ["one", "two"]
    with pytest.raises(Exit, match=r"^EOF$") as caught:
        list(read_lines(source))
    assert caught.value.code == 3
