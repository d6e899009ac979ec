"""Command lines of put, get, del and watch as requests; each complaint with its exit code."""

import os

import pytest

from zetcd.cli.ctl import kv
from zetcd.cli.ctl.exits import Exit
from zetcd.cli.ctl.flags import Parsed, parse
from zetcd.cli.ctl.tree import DEL_FLAGS, GET_FLAGS, PUT_FLAGS, WATCH_FLAGS
from zetcd.cli.ctl.watch import Target, target_of
from zetcd.wire.client import DeleteRangeRequest, PutRequest, RangeRequest


def get(*words: str) -> RangeRequest:
    return kv.get_request(parse(GET_FLAGS, words))


def put(*words: str) -> PutRequest:
    return kv.put_request(parse(PUT_FLAGS, words), may_read_stdin=False)


def delete(*words: str) -> DeleteRangeRequest:
    return kv.delete_request(parse(DEL_FLAGS, words))


def test_get() -> None:
    assert get("k") == RangeRequest(b"k")
    assert get("a", "c") == RangeRequest(b"a", b"c")
    assert get("a\xff") == RangeRequest(os.fsencode("a\xff"))
    assert get("--prefix", "ab") == RangeRequest(b"ab", b"ac")
    assert get("--prefix", os.fsdecode(b"a\xff\xff")) == RangeRequest(b"a\xff\xff", b"b")
    assert get("--prefix", os.fsdecode(b"\xff")) == RangeRequest(b"\xff", b"\0")
    assert get("--prefix", "") == get("--from-key", "") == RangeRequest(b"\0", b"\0")
    assert get("--from-key", "k") == RangeRequest(b"k", b"\0")
    assert get("k", "--rev=5", "--limit", "3", "--consistency=s", "--keys-only") == RangeRequest(
        b"k", revision=5, limit=3, serializable=True, keys_only=True
    )
    assert get("k", "--rev=-5").revision == 0
    assert (get("k", "--sort-by=modify", "--order=descend").sort_target, get("k", "--order=DESCEND").sort_order) == (
        3,
        2,
    )
    assert get("k", "--min-mod-rev=1", "--max-create-rev=4") == RangeRequest(
        b"k", min_mod_revision=1, max_create_revision=4
    )


def test_put() -> None:
    assert put("k", "v") == PutRequest(b"k", b"v")
    assert put("k", "") == PutRequest(b"k", b"")
    assert put("k", "v", "--lease", "ff", "--prev-kv") == PutRequest(b"k", b"v", 255, prev_kv=True)
    assert put("k", "--ignore-value") == PutRequest(b"k", ignore_value=True)
    assert put("--ignore-lease", "k", "v", "more") == PutRequest(b"k", b"v", ignore_lease=True)
    assert put("--", "-k", "-v") == PutRequest(b"-k", b"-v")


def test_delete() -> None:
    assert delete("k") == DeleteRangeRequest(b"k")
    assert delete("a", "b", "--range") == DeleteRangeRequest(b"a", b"b")
    assert delete("--prefix", "") == DeleteRangeRequest(b"\0", b"\0")


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ([], 128, "get command needs one argument as key and an optional argument as range_end"),
        (
            ["--prefix", "--from-key", "a"],
            128,
            "`--prefix` and `--from-key` cannot be set at the same time, choose one",
        ),
        (["--consistency=x", "a"], 4, 'unknown consistency flag "x"'),
        (["--order=up", "a"], 4, "bad sort order up"),
        (["--sort-by=size", "a"], 4, "bad sort target size"),
        (
            ["--prefix", "a", "b"],
            128,
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
        ),
    ],
)
def test_get_complains(words: list[str], code: int, complaint: str) -> None:
    with pytest.raises(Exit) as caught:
        get(*words)
    assert (caught.value.code, caught.value.text) == (code, complaint)


def test_put_and_delete_complain() -> None:
    for words in ([], ["k"]):
        with pytest.raises(Exit, match=r"^put command needs 1 argument and input from stdin or 2 arguments$"):
            put(*words)
    with pytest.raises(Exit, match=r"^put command needs only 1 argument when 'ignore-value' is set$"):
        put("--ignore-value", "k", "v")
    with pytest.raises(
        Exit, match=r"^bad lease ID .strconv.ParseInt: parsing .xyz.: invalid syntax., expecting ID in Hex$"
    ):
        put("k", "v", "--lease=xyz")
    for words in ([], ["a", "b", "c"]):
        with pytest.raises(
            Exit, match=r"^del command needs one argument as key and an optional argument as range_end$"
        ):
            delete(*words)


def watch(*words: str, key: str = "", range_end: str = "") -> Target:
    parsed: Parsed = parse(WATCH_FLAGS, words)
    return target_of(parsed, key, range_end)


def test_watch() -> None:
    assert watch("k") == Target(b"k", b"", 0, False, False, [])
    assert watch("a", "b", "--rev=3", "--prev-kv") == Target(b"a", b"b", 3, True, False, [])
    assert watch("--prefix", "ab", "--progress-notify") == Target(b"ab", b"ac", 0, False, True, [])
    assert watch("--prefix", "").range_end == b"\0"
    assert watch("k", "--", "echo", "--rev", "x").command == ["echo", "--rev", "x"]
    assert watch("--", "echo", key="k", range_end="m") == Target(b"k", b"m", 0, False, False, ["echo"])
    assert watch("a", "b", "c") == Target(b"a", b"", 0, False, False, [])


@pytest.mark.parametrize(
    ("words", "key", "complaint"),
    [
        ([], "", "bad number of arguments"),
        (["--rev", "1"], "", "bad number of arguments"),
        (["--", "echo"], "", "bad number of arguments"),
        (["k", "--"], "", "bad number of arguments (found separator --, but no commands)"),
        (["k"], "e", "bad number of arguments (found conflicting environment key)"),
        (["k", "--", "echo"], "e", "bad number of arguments (found conflicting environment key)"),
        (["a", "b", "--prefix"], "", "`range_end` and `--prefix` are mutually exclusive"),
    ],
)
def test_watch_complains(words: list[str], key: str, complaint: str) -> None:
    with pytest.raises(Exit) as caught:
        watch(*words, key=key)
    assert (caught.value.code, caught.value.text) == (128, complaint)
