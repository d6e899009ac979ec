"""Command lines in pflag's reading, the environment, and the way from words to a command."""

import pytest

from zetcd.cli.ctl.exits import Exit
from zetcd.cli.ctl.find import find
from zetcd.cli.ctl.flags import Parsed, flag, parse
from zetcd.cli.ctl.main import read_environment
from zetcd.cli.ctl.tree import COMMANDS, GLOBAL_FLAGS

FLAGS = (
    flag("word", "default", "a text", "w"),
    flag("yes", False, "a bool", "y"),
    flag("no", True, "a bool", "n"),
    flag("count", 0, "a number", "c"),
    flag("wait", 1.0, "a time", duration=True),
    flag("many", ["one"], "a list"),
)


def test_flags_and_arguments_mix() -> None:
    parsed = parse(FLAGS, ["a", "--word", "x", "b", "-yc5", "--no=false", "-", "--wait", "1m30s", "c"])
    assert parsed.args == ["a", "b", "-", "c"]
    assert parsed.text("word") == "x"
    assert parsed.on("yes")
    assert not parsed.on("no")
    assert parsed.number("count") == 5
    assert parsed.seconds("wait") == 90.0
    assert parsed.changed == {"word", "yes", "no", "count", "wait"}
    assert parsed.dash == -1


@pytest.mark.parametrize("words", [["-w", "v"], ["-w=v"], ["-wv"], ["--word=v"], ["--word", "v"], ["-yw", "v"]])
def test_spellings_of_one_flag(words: list[str]) -> None:
    assert parse(FLAGS, words).text("word") == "v"


def test_two_dashes_end_the_flags() -> None:
    parsed = parse(FLAGS, ["a", "--", "--yes", "-1"])
    assert parsed.args == ["a", "--yes", "-1"]
    assert parsed.dash == 1
    assert not parsed.on("yes")


def test_a_list_is_replaced_once_and_then_grows() -> None:
    assert parse(FLAGS, []).items("many") == ["one"]
    assert parse(FLAGS, ["--many", "a,b", "--many=c"]).items("many") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--bogus"], "unknown flag: --bogus"),
        (["--bogus=x"], "unknown flag: --bogus"),
        (["--wor", "x"], "unknown flag: --wor"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["-yx"], "unknown shorthand flag: 'x' in -x"),
        (["---"], "bad flag syntax: ---"),
        (["--=x"], "bad flag syntax: --=x"),
        (["--word"], "flag needs an argument: --word"),
        (["-w"], "flag needs an argument: 'w' in -w"),
        (["-yw"], "flag needs an argument: 'w' in -w"),
        (
            ["--count", "x"],
            'invalid argument "x" for "-c, --count" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (["--wait=5"], 'invalid argument "5" for "--wait" flag: time: missing unit in duration "5"'),
        (["--yes=x"], 'invalid argument "x" for "-y, --yes" flag: strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)
def test_complaints_are_pflags(words: list[str], complaint: str) -> None:
    with pytest.raises(Exit) as caught:
        parse(FLAGS, words)
    assert (caught.value.code, caught.value.text) == (1, complaint)


@pytest.mark.parametrize(
    ("words", "name", "rest"),
    [
        (["get", "k"], "get", ["k"]),
        (["-w", "json", "get", "k"], "get", ["-w", "json", "k"]),
        (["--write-out=json", "lease", "--hex", "grant", "5"], "lease grant", ["--write-out=json", "--hex", "5"]),
        (["lease", "gr", "5"], "lease grant", ["5"]),
        (["g", "k"], "get", ["k"]),
        (["endpoint", "--cluster", "status"], "endpoint status", ["--cluster"]),
        (["lease", "bogus"], "lease", ["bogus"]),
        (["put", "get", "x"], "put", ["get", "x"]),
        (["watch", "k", "--", "put"], "watch", ["k", "--", "put"]),
    ],
)
def test_words_name_a_command(words: list[str], name: str, rest: list[str]) -> None:
    command, left = find(words)
    assert command is not None
    assert (command.name, left) == (name, rest)


def test_no_words_name_none() -> None:
    assert find([])[0] is None
    assert find(["--", "get"])[0] is None


def test_an_unknown_command_gets_suggestions() -> None:
    with pytest.raises(Exit) as caught:
        find(["gett", "k"])
    assert caught.value.text == (
        'unknown command "gett" for "zetcdctl"\n\nDid you mean this?\n\tget\n\nRun \'zetcdctl --help\' for usage.'
    )
    with pytest.raises(Exit):
        find(["l"])  # lease or lock


def test_flags_of_a_command_do_not_hide_global_ones() -> None:
    for command in COMMANDS:
        names = [f.name for f in (*GLOBAL_FLAGS, *command.flags)]
        assert len(names) == len(set(names)), command.name
        shorts = [f.short for f in (*GLOBAL_FLAGS, *command.flags) if f.short]
        assert len(shorts) == len(set(shorts)), command.name


def _parsed(*words: str) -> Parsed:
    return parse(GLOBAL_FLAGS, words)


def test_environment_sets_global_flags() -> None:
    parsed = _parsed()
    read_environment(parsed, {"ETCDCTL_WRITE_OUT": "json", "ETCDCTL_HEX": "true", "PATH": "x"})
    assert parsed.text("write-out") == "json"
    assert parsed.on("hex")


def test_own_environment_wins_over_etcdctls() -> None:
    parsed = _parsed()
    read_environment(parsed, {"ETCDCTL_ENDPOINTS": "http://a:2379", "ZETCDCTL_ENDPOINTS": "tcp://b:1,tcp://c:1"})
    assert parsed.items("endpoints") == ["tcp://b:1", "tcp://c:1"]


@pytest.mark.parametrize("name", ["ETCDCTL_ENDPOINTS", "ZETCDCTL_ENDPOINTS"])
@pytest.mark.parametrize("value", ["tcp://b:1", ""])
def test_a_flag_and_its_variable_conflict(name: str, value: str) -> None:
    with pytest.raises(Exit, match=rf'conflicting environment variable "{name}" is shadowed') as caught:
        read_environment(_parsed("--endpoints=tcp://a:1"), {name: value})
    assert caught.value.code == 1


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(Exit, match=r'^ETCDCTL_HEX: invalid argument "maybe" for "--hex" flag'):
        read_environment(_parsed(), {"ETCDCTL_HEX": "maybe"})


def test_an_unknown_variable_is_reported(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    read_environment(_parsed(), {"ETCDCTL_BOGUS": "1", "ETCDCTL_API": "3", "ZETCDCTL_WATCH_KEY": "k"})
    assert capsysbinary.readouterr().err == b"unrecognized environment variable ETCDCTL_BOGUS=1\n"
