"""Which processors each process of a member runs on: the value of ``--cpu-affinity``.

``none`` leaves it to the kernel. ``spread`` gives each process a processor of its own where there are enough, and puts
neighbours of the put path (api, raft, wal, apply) together where there are not: a message to a process on the same or
a warm processor costs half of waking a sleeping one. Where there are two, the first gateway is beside the api whose
client it is; else, and further ones, go where the kernel puts them. ``auto``, the default, spreads where there are at
most AUTO_PROCESSORS_MAX processors: with more of them the kernel finds a warm one, and other members may be about.
``wal=0,apply=1,api=2-3`` says it by hand; several api or gateway processes take the processors of ``api`` or
``gateway`` in turn.
"""

import os
import sys
from collections.abc import Sequence

from zetcd.wire.routes import NUMBERED, PROCESSES, title

AUTO_PROCESSORS_MAX = 2
# With so many processors, who shares with whom; a fifth and further ones go to more api processes.
_SPREAD = {
    1: {"api": 0, "raft": 0, "wal": 0, "apply": 0, "lease": 0, "gateway": 0},
    2: {"api": 0, "apply": 0, "gateway": 0, "raft": 1, "wal": 1, "lease": 1},
    3: {"api": 0, "raft": 1, "lease": 1, "wal": 1, "apply": 2},
    4: {"api": 0, "raft": 1, "lease": 1, "wal": 2, "apply": 3},
}


def read_affinity(
    text: str, api_processes: int, allowed: Sequence[int], gateway_processes: int = 1
) -> dict[str, tuple[int, ...]]:
    """Role (``api`` for the first api process, ``api-1`` for the second ...) -> processors; empty: leave it be.

    allowed: the processors this machine offers, ascending. Raises ValueError with what text must be.
    """
    if text in ("", "none") or (text == "auto" and len(allowed) > AUTO_PROCESSORS_MAX):
        return {}
    if text in ("auto", "spread"):
        return _spread(api_processes, allowed)
    return _by_hand(text, {"api": api_processes, "gateway": gateway_processes}, allowed)


def processors(affinity: dict[str, tuple[int, ...]], role: str, number: int) -> tuple[int, ...]:
    """Those of role's number-th process; empty: leave it be."""
    return affinity.get(f"{role}-{number}" if number else role, ())


def _spread(api_processes: int, allowed: Sequence[int]) -> dict[str, tuple[int, ...]]:
    spread = _SPREAD[min(len(allowed), 4)]
    chosen: dict[str, tuple[int, ...]] = {role: (allowed[slot],) for role, slot in spread.items()}
    # Further api processes take what is left over; where nothing is, all but apply's, which is the busiest.
    free = list(allowed[4:]) or [one for one in allowed if (one,) != chosen["apply"]] or list(allowed)
    for number in range(1, api_processes):
        chosen[f"api-{number}"] = (free[(number - 1) % len(free)],)
    return chosen


def _by_hand(text: str, counts: dict[str, int], allowed: Sequence[int]) -> dict[str, tuple[int, ...]]:
    chosen: dict[str, tuple[int, ...]] = {}
    last = ""
    for part in text.split(","):
        role, found, numbers = part.partition("=")
        role, numbers = (role.strip(), numbers) if found else (last, part)
        if role not in PROCESSES:
            raise ValueError(f'"auto", "none", "spread", or role=processors with {", ".join(PROCESSES)}, not {part!r}')
        chosen[role] = (*chosen.get(role, ()), *_numbers(numbers, allowed))
        last = role
    for role in NUMBERED:
        own = chosen.get(role, ())
        for number in range(counts[role] if own and counts[role] > 1 else 0):
            chosen[f"{role}-{number}" if number else role] = (own[number % len(own)],)
    return chosen


def _numbers(text: str, allowed: Sequence[int]) -> list[int]:
    low, dash, high = text.strip().partition("-")
    if not low.isdigit() or (dash and not high.isdigit()):
        raise ValueError(f"processors such as 0 or 2-3 after the role, not {text!r}")
    numbers = list(range(int(low), int(high or low) + 1))
    if not numbers or not set(numbers) <= set(allowed):
        raise ValueError(f"of processors that are here ({', '.join(map(str, allowed))}), not {text!r}")
    return numbers


def main() -> int:
    """``python -m zetcd.node.affinity API_PROCESSES``: what spread means here, a line ``process processors`` each."""
    apis = int(sys.argv[1])
    chosen = _spread(apis, sorted(os.sched_getaffinity(0)))
    for role in PROCESSES:
        for number in range(apis if role == "api" else 1):
            if own := processors(chosen, role, number):
                sys.stdout.write(f"{title(role, number)} {' '.join(map(str, own))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
