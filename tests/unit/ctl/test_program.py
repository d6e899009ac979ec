"""The program as a process: help, version, completion, exit codes, and what it does not import."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from zetcd import __version__
from zetcd.cli.ctl.check import Results, judge
from zetcd.cli.ctl.completion import bash_script
from zetcd.cli.ctl.main import main
from zetcd.cli.ctl.progress import bar_line
from zetcd.cli.ctl.tree import COMMANDS
from zetcd.cli.ctl.usage import usage

PROGRAM = str(Path(sys.executable).with_name("zetcdctl"))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=30, check=False)


def test_version() -> None:
    ended = run("version")
    assert (ended.stdout, ended.returncode) == (f"zetcdctl version: {__version__}\nAPI version: 3.4\n", 0)


def test_version_imports_neither_sockets_nor_codecs() -> None:
    """Start-up time is what a shell script pays for each line of it."""
    code = "import sys; from zetcd.cli.ctl.main import main; main(['version']); print(*sys.modules, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    heavy = {"zmq", "msgspec", "msgpack", "asyncio", "argparse", "json", "subprocess", "threading", "zetcd.client"}
    assert not heavy & set(ended.stderr.split())


def test_help_lays_columns_out_with_tabs() -> None:
    lines = usage(next(c for c in COMMANDS if c.name == "lease timetolive")).split("\n")
    assert lines[:5] == [
        "NAME:",
        "\tlease timetolive - Prints how long a lease still lives",
        "",
        "USAGE:",
        "\tzetcdctl lease timetolive <leaseID> [options] [flags]",
    ]
    assert "  -h, --help[=false]\thelp for this command" in lines
    assert "      --keys[=false]\tprint the keys attached, too" in lines
    assert '  -w, --write-out="simple"\t\t\toutput format (fields, json, protobuf, simple, table)' in lines


@pytest.mark.parametrize("words", [[], ["--help"], ["help"], ["-h"]])
def test_help_of_the_program_names_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        if command.target:
            assert re.search(rf"^\t{command.name}\t+{re.escape(command.short)}$", text, re.MULTILINE)


@pytest.mark.parametrize("command", [c.name for c in COMMANDS])
def test_help_of_each_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    if command.startswith("wal "):
        return  # a parser of its own
    assert main([*command.split(), "--help"]) == 0
    first = capsys.readouterr().out
    assert main(["help", *command.split()]) == 0
    assert capsys.readouterr().out == first
    assert first.startswith(f"NAME:\n\t{command} - ")


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["bogus"], 1, 'Error: unknown command "bogus" for "zetcdctl"\nRun \'zetcdctl --help\' for usage.\n'),
        (["get", "--bogus"], 1, "Error: unknown flag: --bogus\nRun 'zetcdctl get --help' for usage.\n"),
        (["get"], 128, "Error: get command needs one argument as key and an optional argument as range_end\n"),
        (["get", "k", "-w", "bogus"], 4, "Error: unsupported output format\n"),
        (["get", "k", "--count-only"], 128, "Error: --count-only is only for `--write-out=fields`\n"),
        (["help", "bogus"], 1, 'Error: unknown command "bogus" for "zetcdctl"\nRun \'zetcdctl --help\' for usage.\n'),
    ],
)
def test_complaints_before_anything_is_sent(words: list[str], code: int, error: str) -> None:
    ended = run(*words)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", error, code)


def test_an_http_endpoint_is_told_apart() -> None:
    ended = run("--endpoints=http://127.0.0.1:2379", "get", "k")
    assert ended.returncode == 128
    assert ended.stderr.startswith("Error: endpoint http://127.0.0.1:2379 is not a ZeroMQ one: zetcdctl speaks tcp://")


def test_an_endpoint_that_is_down() -> None:
    ended = run("--endpoints=127.0.0.1:1", "--command-timeout=300ms", "--dial-timeout=200ms", "get", "k")
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "Error: context deadline exceeded\n", 1)


def test_a_reader_that_goes_away() -> None:
    """``zetcdctl ... | head -1`` ends without a traceback."""
    shell = f"'{PROGRAM}' help | true"
    ended = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=30, check=False)
    assert ended.stderr == ""


def test_a_full_disk() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run([PROGRAM, "version"], stdout=full, stderr=subprocess.PIPE, timeout=30, check=False)
    assert (ended.stderr, ended.returncode) == (b"Error: stdout: No space left on device\n", 6)


def completed(*words: str) -> list[str]:
    script = bash_script() + '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _zetcdctl; printf "%s\\n" "${COMPREPLY[@]}"'
    ended = subprocess.run(
        ["bash", "-c", script, "bash", "zetcdctl", *words], capture_output=True, text=True, timeout=30, check=True
    )
    return ended.stdout.split()


def test_bash_completion() -> None:
    assert completed("lease", "") == ["grant", "keep-alive", "list", "revoke", "timetolive"]
    assert completed("-w", "js") == ["json"]
    assert completed("--endpoints", "tcp://x:1", "endp") == ["endpoint"]
    assert completed("get", "some key", "--pre") == ["--prefix"]
    assert "--write-out" in completed("get", "--")
    assert completed("get", "--order", "") == ["ASCEND", "DESCEND"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_every_command(shell: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["completion", shell]) == 0
    script = capsysbinary.readouterr().out.decode()
    for command in COMMANDS:
        assert command.path[-1] in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script.encode(), check=True, timeout=30)


def test_bar() -> None:
    assert bar_line(0, 60, 0).startswith(" 0 / 60 [--")
    assert bar_line(60, 60, 61).startswith(" 60 / 60 [=====")
    assert "]  50.00% 30s" in bar_line(30, 60, 30)
    assert {len(bar_line(count, 60, 1)) for count in range(61)} == {80}


def test_verdict_of_check_perf() -> None:
    results = Results()
    results.seconds = [0.01] * 9000
    results.total_s = 60.0
    lines, passed = judge(results, 150)
    assert passed
    assert lines == [
        "PASS: Throughput is 151 writes/s",
        "PASS: Slowest request took 0.010000s",
        "PASS: Stddev is 0.000000s",
        "PASS",
    ]
    results.seconds = [0.01] * 8000 + [0.9, 2.0]
    results.errors["etcdserver: too many requests"] = 3
    lines, passed = judge(results, 150)
    assert not passed
    assert lines[:4] == [
        "FAIL: too many errors",
        "FAIL: ERROR(etcdserver: too many requests) -> 3",
        "FAIL: Throughput too low: 134 writes/s",
        "Slowest request took too long: 2.000000s",
    ]
    assert lines[-1] == "FAIL"
