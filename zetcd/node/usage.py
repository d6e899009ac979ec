"""What `zetcd --help` says: every flag that does something, by group, one line each."""

import textwrap

from zetcd.node.flags import GROUPS, Flag

USAGE = """\
Usage:
  zetcd [flags]                    run a member: all its processes, supervised
  zetcd actor ROLE [N] [flags]     run one of its processes: wal, raft, apply, lease, api, gateway
                                   (systemd does; see deploy/)
  zetcd local-cluster [--members 3] [--data-dir DIR] [flags]
                                   run several members on this machine, for trying out
  zetcd --config-file FILE         the same flags from a YAML file, in etcd's format
  zetcd --version
  zetcd --help                     all flags
Every flag is also an environment variable: --data-dir is ZETCD_DATA_DIR, or ETCD_DATA_DIR as for etcd.
"""
WIDTH = 118
_INDENT = 38


def help_text() -> str:
    """All of it."""
    parts = [USAGE]
    idle: list[str] = []
    for title, group in GROUPS:
        lines = [_line(flag) for flag in group if not flag.later]
        idle += [f"--{flag.name}" for flag in group if flag.later]
        if lines:
            parts.append(f"{title}:\n" + "\n".join(lines) + "\n")
    parts.append(
        "Accepted and checked, without effect in this release (each says what happens instead):\n"
        + textwrap.fill(" ".join(idle), WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        + "\n"
    )
    return "\n".join(parts)


def _line(flag: Flag) -> str:
    default = f" (default {flag.default})" if flag.default not in ("", "false") and "default" not in flag.help else ""
    name = f"  --{flag.name}".ljust(_INDENT)
    return name + flag.help + default
