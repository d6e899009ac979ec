"""The units: what systemd itself says of them, that they agree with the code, and a member under a real systemd."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zetcd.base import limits
from zetcd.node.children import WATCHDOG_MS
from zetcd.node.config import load
from zetcd.node.supervisor import STOP_ORDER
from zetcd.wire.routes import FATE_GROUP, PROCESSES, title

ROOT = Path(__file__).resolve().parents[3]
UNITS = ROOT / "deploy/systemd"
BOX = ROOT.parent / "shared/tools/systemd-box"
PROGRAM = Path(sys.executable).with_name("zetcd")


def unit(role: str) -> str:
    return (UNITS / f"zetcd-{title(role, 0)}@.service").read_text()


def setting(text: str, name: str) -> str:
    found = re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)
    assert found, name
    return str(found[-1])


def milliseconds(text: str) -> int:
    number, in_ms = re.fullmatch(r"(\d+)(ms|s)", text).groups()  # type: ignore[union-attr]
    return int(number) * (1 if in_ms == "ms" else 1000)


@pytest.mark.parametrize("role", PROCESSES)
def test_units_and_supervisor_have_the_same_bounds(role: str) -> None:
    text = unit(role)
    assert milliseconds(setting(text, "WatchdogSec")) == WATCHDOG_MS[role]
    assert milliseconds(setting(text, "TimeoutStopSec")) == dict(STOP_ORDER)[role]
    assert milliseconds(setting(text, "TimeoutStartSec")) == limits.START_TIMEOUT_MS
    assert milliseconds(setting(text, "RestartSec")) == limits.RESTART_PAUSE_MS


@pytest.mark.parametrize("role", PROCESSES)
def test_shared_fate_is_bound_both_ways_and_nobody_else_is(role: str) -> None:
    def named(*settings: str) -> set[str]:
        lines = re.findall(rf"^(?:{'|'.join(settings)})=(.*)$", unit(role), re.MULTILINE)
        return set(re.findall(r"zetcd-(\w+)@%i", " ".join(lines)))

    others = set(FATE_GROUP) - {role} if role in FATE_GROUP else set()
    assert named("PartOf") == others
    assert named("Wants", "Requires") == others
    assert named("BindsTo") == set()


def test_the_sandbox_is_the_same_everywhere() -> None:
    boxes = {unit(role).partition("# -- sandbox")[2] for role in PROCESSES}
    assert len(boxes) == 1
    assert "@resources" not in re.sub(r"^#.*$", "", boxes.pop(), flags=re.MULTILINE)


def test_the_examples_can_be_read(tmp_path: Path) -> None:
    lines = (ROOT / "deploy/config/m1.env").read_text().splitlines()
    environ = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    found = load(["--name", "m1"], environ)
    assert (found.warnings, found.settings.name) == ((), "m1")
    found = load(["--config-file", str(ROOT / "deploy/config/m1.yaml")], {})
    assert (found.warnings, found.settings.data_dir) == ((), "/var/lib/zetcd/m1")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    argv: list[str | Path] = [
        UNITS / "install",
        "--root",
        tmp_path,
        "--zetcd",
        PROGRAM,
        "--api-processes",
        "3",
        "--gateway-processes",
        "2",
        "--pin",
        "m1",
    ]
    subprocess.run(argv, check=True)
    return tmp_path / "etc/systemd/system"


def test_install_makes_api_units_and_pins_them(installed: Path) -> None:
    assert (installed / "zetcd-api-2@.service").read_text().count(str(PROGRAM)) == 1
    assert (installed / "zetcd-gateway-1@.service").read_text().count(str(PROGRAM)) == 1
    pinned = {path.parent.name: path.read_text() for path in installed.glob("*.d/cpu.conf")}
    always = {f"zetcd-{one}@m1.service.d" for one in ("wal", "raft", "apply", "lease", "api-0", "api-1", "api-2")}
    assert always <= set(pinned) <= {*always, "zetcd-gateway-0@m1.service.d"}, "of few processors, the gateway too"
    assert all(re.fullmatch(r"\[Service\]\nCPUAffinity=\d+\n", text) for text in pinned.values())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong(installed: Path) -> None:
    names = [
        f"zetcd-{one}@m1.service"
        for one in ("wal", "raft", "apply", "lease", "api-0", "api-2", "gateway-0", "gateway-1")
    ]
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "--man=no",
            "--recursive-errors=yes",
            *names,
            "zetcd@m1.target",
            "zetcd@m1.service",
        ],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{installed}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "zetcd" in line]
    assert (ours, done.returncode) == ([], 0)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_exposure_is_low(installed: Path) -> None:
    argv = ["systemd-analyze", "security", "--offline=true", "--threshold=25", str(installed / "zetcd-wal@.service")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.systemd
@pytest.mark.timeout(600)
@pytest.mark.skipif(not BOX.exists(), reason="no systemd-box beside the repository")
@pytest.mark.skipif(os.geteuid() != 0, reason="a systemd of one's own needs root")
@pytest.mark.skipif(str(ROOT).startswith(("/tmp/", "/run/")), reason="/tmp and /run start empty in the box")
def test_a_member_under_systemd_is_killed_frozen_and_stopped() -> None:
    """Write, SIGKILL and SIGSTOP each process, see service return, stop the target: the data is there, no orphan."""
    scenario = Path(__file__).with_name("scenario.py")
    done = subprocess.run(
        [BOX, sys.executable, scenario, ROOT, PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=590,
    )
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
