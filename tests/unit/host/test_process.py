"""What a process asks of the kernel."""

import os
from pathlib import Path

import pytest

from zetcd.host.process import memory_bytes

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, MACHINE),
        ({"a/b/memory.max": "max\n"}, MACHINE),
        ({"a/b/memory.max": "65536\n"}, 65_536),
        ({"a/memory.max": "8192\n", "a/b/memory.max": "65536\n"}, 8_192),
        ({"memory.max": "4096\n"}, 4_096),
        ({"c/memory.max": "4096\n"}, MACHINE),
        ({"a/memory.max": f"{MACHINE + 4096}\n"}, MACHINE),
    ],
)
def test_memory_is_what_the_tightest_control_group_above_leaves(
    tmp_path: Path, limits: dict[str, str], expected: int
) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("0::/a/b\n")
    for name, text in limits.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory_bytes(membership, tmp_path / "groups") == expected


@pytest.mark.parametrize("text", ["", "4:memory:/a\n"])
def test_without_control_groups_of_version_2_it_is_the_machines(tmp_path: Path, text: str) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text(text)
    assert memory_bytes(membership, tmp_path) == MACHINE
    assert memory_bytes(tmp_path / "none", tmp_path) == MACHINE
