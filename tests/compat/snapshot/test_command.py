"""`zetcdctl snapshot` beside etcdctl's: the same words about the same files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat.oracle import Etcd, Gateway, binary
from tests.process.member import Member

OURS = Path(sys.executable).with_name("zetcdctl")
THEIRS = Path("/usr/bin/etcdctl")


def run(program: Path, *words: str, endpoint: str = "") -> tuple[str, str, int]:
    environment = {name: value for name, value in os.environ.items() if "ETCD" not in name} | {"ETCDCTL_API": "3"}
    words = (*words, f"--endpoints={endpoint}") if endpoint else words
    done = subprocess.run(
        [str(program), *words], capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    return done.stdout, done.stderr, done.returncode


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A snapshot of each side, and what is none."""
    program = binary("3.4")
    if program is None or not THEIRS.exists():
        pytest.skip("needs etcd and etcdctl 3.4 (Debian: etcd-server, etcd-client)")
    directory = tmp_path_factory.mktemp("files")
    found = {name: directory / name for name in ("ours", "theirs", "empty", "text", "absent")}
    with Member(tmp_path_factory.mktemp("zetcd")) as member:
        for number in range(200):
            member.call({"op": "put", "key": b"k%d" % (number % 60), "value": bytes(number)})
        assert run(OURS, "snapshot", "save", str(found["ours"]), endpoint=member.endpoint) == (
            f"Snapshot saved at {found['ours']}\n", "", 0,
        )  # fmt: skip
    with Etcd.running(program, tmp_path_factory.mktemp("etcd")) as etcd:
        gateway = Gateway(etcd.port)
        for number in range(200):
            gateway.call("put", {"key": b"k%d" % (number % 60), "value": bytes(number)})
        gateway.close()
        assert run(THEIRS, "snapshot", "save", str(found["theirs"]), endpoint=etcd.url)[2] == 0
    found["empty"].write_bytes(b"")
    found["text"].write_bytes(b"no database\n" * 5_000)
    return found


@pytest.mark.parametrize("form", ["simple", "json", "fields", "table", "protobuf", "bogus"])
@pytest.mark.parametrize("which", ["ours", "theirs", "text", "absent"])
def test_status(files: dict[str, Path], which: str, form: str) -> None:
    words = ("snapshot", "status", str(files[which]), "-w", form)
    assert run(OURS, *words) == run(THEIRS, *words)


def test_an_empty_file(files: dict[str, Path]) -> None:
    assert run(OURS, "snapshot", "status", str(files["empty"])) == ("", "Error: invalid database\n", 1)


@pytest.mark.parametrize(
    "words", [("status",), ("status", "a", "b"), ("save",), ("save", "a", "b"), ("save", "/no/directory/x")], ids=str
)
def test_complaints(files: dict[str, Path], words: tuple[str, ...]) -> None:
    assert files
    ours, theirs = (run(each, "snapshot", *words) for each in (OURS, THEIRS))
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])
    assert ours[1] == theirs[1].splitlines(keepends=True)[-1]


def test_a_snapshot_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """Nobody listens there."""
    stdout, stderr, code = run(
        OURS, "snapshot", "save", str(tmp_path / "x"), "--dial-timeout=1s", endpoint="tcp://127.0.0.1:1"
    )
    assert (stdout, code) == ("", 5)
    assert "connection" in stderr or "deadline" in stderr
    assert list(tmp_path.iterdir()) == []


def test_defrag_names_each_endpoint(tmp_path: Path) -> None:
    with Member(tmp_path) as member:
        endpoint = member.endpoint
        assert run(OURS, "defrag", endpoint=endpoint) == (f"Finished defragmenting etcd member[{endpoint}]\n", "", 0)
        stdout, stderr, code = run(OURS, "defrag", "--command-timeout=1s", endpoint=f"tcp://127.0.0.1:1,{endpoint}")
        assert stdout == f"Finished defragmenting etcd member[{endpoint}]\n"
        assert stderr.startswith("Failed to defragment etcd member[tcp://127.0.0.1:1] (")
        assert code == 1
