"""The two ways in, `zetcd` and `zetcd actor`, up to the point where a member would start."""

import re
import subprocess
import sys
from pathlib import Path

ZETCD = str(Path(sys.executable).with_name("zetcd"))


def zetcd(*words: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ZETCD, *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=cwd,
        env={"PATH": "/bin", **environ},
    )


def test_version() -> None:
    done = zetcd("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("zetcd Version: ")
    assert re.search(r"^API Version: 3\.5\.\d+$", done.stdout, re.MULTILINE)


def test_help_goes_to_stdout() -> None:
    done = zetcd("-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--initial-cluster" in done.stdout


def test_an_unknown_flag_shows_the_usage_and_exits_with_2() -> None:
    done = zetcd("--nope")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("zetcd: flag provided but not defined: --nope\nUsage:")


def test_a_wrong_setting_exits_with_1_as_etcd_does(tmp_path: Path) -> None:
    done = zetcd("--election-timeout", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_subcommands_of_etcd_that_come_later_say_so() -> None:
    assert zetcd("gateway", "start").stderr == "zetcd: the TCP gateway is not part of this release\n"


def test_an_actor_needs_a_role() -> None:
    done = zetcd("actor", "disk")
    assert done.returncode == 2
    assert "wal, raft, apply, lease, api, gateway" in done.stderr


def test_an_actor_refuses_with_78_so_that_systemd_does_not_restart_it(tmp_path: Path) -> None:
    done = zetcd("actor", "wal", "--name", "m1", ZETCD_ELECTION_TIMEOUT="1", ZETCD_DATA_DIR=str(tmp_path))
    assert done.returncode == 78
    assert done.stderr.startswith("zetcd wal: --election-timeout[1ms]")


def test_an_actor_wants_one_name(tmp_path: Path) -> None:
    """--name stands in the unit, so that ps shows it; a configuration file must agree with it."""
    (tmp_path / "m.yaml").write_text(f"name: m2\ndata-dir: {tmp_path}/d\n")
    done = zetcd("actor", "raft", "--name", "m1", ZETCD_CONFIG_FILE=str(tmp_path / "m.yaml"))
    assert done.returncode == 78
    assert "--name is m1, but the configuration file says name: m2" in done.stderr
