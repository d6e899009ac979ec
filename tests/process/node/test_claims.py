"""A second member on the same directory or port is refused at once, and told by whom."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.oracle import free_ports
from zetcd.base.errors import Refusal
from zetcd.base.settings import Settings
from zetcd.host import claims
from zetcd.host.claims import Holder
from zetcd.node import bootstrap

ZETCD = str(Path(sys.executable).with_name("zetcd"))
LIMIT_S = 30


def member(tmp_path: Path, name: str = "m1") -> Settings:
    client, peer = free_ports(2)
    return Settings(
        name=name,
        data_dir=str(tmp_path / name),
        listen_client_urls=(f"tcp://127.0.0.1:{client}",),
        listen_peer_urls=(f"tcp://127.0.0.1:{peer}",),
    )


def zetcd(settings: Settings) -> subprocess.CompletedProcess[str]:
    """The program with these settings; it is expected to refuse."""
    client, peer = settings.listen_client_urls[0], settings.listen_peer_urls[0]
    flags = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
    argv = [ZETCD, "--name", settings.name, "--data-dir", settings.data_dir, *flags]
    return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Settings]:
    """A member of that much: its directories and claims."""
    settings = member(tmp_path)
    assert bootstrap.make_directories(settings) == []
    claimed = bootstrap.claim_member(settings)
    yield settings
    claimed.release()


def test_directories_are_private(tmp_path: Path) -> None:
    settings = member(tmp_path)
    bootstrap.make_directories(settings)
    for directory in (settings.data_dir, settings.member_dir, settings.member_dir + "/run"):
        assert Path(directory).stat().st_mode & 0o777 == 0o700
    Path(settings.data_dir).chmod(0o755)
    assert "mode 0755" in bootstrap.make_directories(settings)[0]


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m1").write_text("a file")
    with pytest.raises(Refusal, match="cannot make"):
        bootstrap.make_directories(member(tmp_path))


def test_the_holder_of_a_directory_is_named(held: Settings, tmp_path: Path) -> None:
    other = member(tmp_path / "other")
    done = zetcd(Settings(data_dir=held.data_dir, name="m2", listen_client_urls=other.listen_client_urls,
                          listen_peer_urls=other.listen_peer_urls))  # fmt: skip
    assert done.returncode == 1
    assert f"{held.data_dir} is in use by process {os.getpid()} (zetcd, member m1) since 2" in done.stderr


def test_a_wal_process_that_lives_alone_holds_the_directory_too(tmp_path: Path) -> None:
    """Under systemd nobody but wal locks the member's directory."""
    settings = member(tmp_path)
    bootstrap.make_directories(settings)
    lock = claims.claim_directory(settings.member_dir, "zetcd wal of m1")
    assert isinstance(lock, int)
    done = zetcd(settings)
    os.close(lock)
    assert done.returncode == 1
    assert f"is in use by process {os.getpid()} (zetcd wal of m1)" in done.stderr


@pytest.mark.parametrize("which", ["listen_client_urls", "listen_peer_urls"])
def test_the_claimant_of_a_port_is_named(held: Settings, tmp_path: Path, which: str) -> None:
    """Nobody listens yet: the claim alone refuses a second member, also in the moment before the api processes bind."""
    other = member(tmp_path / "other")
    urls = {"listen_client_urls": other.listen_client_urls, "listen_peer_urls": other.listen_peer_urls}
    done = zetcd(Settings(data_dir=other.data_dir, **(urls | {which: getattr(held, which)})))
    assert done.returncode == 1
    assert f"is claimed by process {os.getpid()} (" in done.stderr
    assert f"--{which.replace('_', '-')}: port" in done.stderr


def test_a_listener_of_another_kind_is_named_also_behind_reuseport(tmp_path: Path) -> None:
    settings = member(tmp_path)
    port = int(settings.listen_client_urls[0].rpartition(":")[2])
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        done = zetcd(settings)
    assert done.returncode == 1
    assert f"port {port} of tcp://127.0.0.1:{port} is in use by process {os.getpid()} (" in done.stderr


def test_a_foreign_address_is_refused(tmp_path: Path) -> None:
    done = zetcd(Settings(data_dir=str(tmp_path), listen_client_urls=("tcp://192.0.2.1:1",)))
    assert done.returncode == 1
    assert "cannot listen on 192.0.2.1:1" in done.stderr


def test_port_zero_is_refused(tmp_path: Path) -> None:
    done = zetcd(Settings(data_dir=str(tmp_path), listen_client_urls=("tcp://127.0.0.1:0",)))
    assert "give a port" in done.stderr


def test_claims_end_with_their_holder(held: Settings) -> None:
    found = claims.directory_holder(held.data_dir)
    assert found is not None
    assert found.pid == os.getpid()
    with pytest.raises(Refusal, match="is in use by"):
        bootstrap.claim_member(held)
    program = (
        "import sys; from zetcd.host import claims; claims.claim_directory(sys.argv[1], 'x'); print(flush=True);"
        "sys.stdin.read()"
    )
    directory = held.member_dir
    with subprocess.Popen(
        [sys.executable, "-c", program, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert isinstance(claims.claim_directory(directory, "y"), Holder)
        process.kill()
    assert claims.directory_holder(directory) is None


def test_a_dying_process_of_a_former_life_is_waited_for(tmp_path: Path) -> None:
    """A killed supervisor's children end a moment later; the next start waits for them instead of refusing."""
    ours = str(tmp_path)
    program = "import sys; print(flush=True); sys.stdin.readline()"
    argv = [sys.executable, "-c", program, "zetcd.cli.actor", "wal", "0", "--name", "m1", "--data-dir", ours]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        holder = Holder(process.pid, claims.describe(process.pid))
        assert holder.text == "zetcd wal of member m1"

        def asked() -> Iterator[Holder | None]:
            yield holder
            yield None

        process.stdin.write(b"\n")
        process.stdin.flush()
        assert claims.outlive(asked(), ours) is None
        assert claims.outlive(iter([Holder(os.getpid(), "alive")]), ours) == Holder(os.getpid(), "alive")
