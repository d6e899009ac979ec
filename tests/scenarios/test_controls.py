"""Negative controls: a core that breaks a rule is caught by the checks of `tests.scenarios`, within bounded seeds."""

from collections.abc import Callable

import pytest

from tests.scenarios.test_random import Chaos
from zetcd.raft.core import Core
from zetcd.raft.leader import Leader
from zetcd.raft.log import Log
from zetcd.raft.ready import Ready

SEEDS = 500
Break = Callable[[pytest.MonkeyPatch], None]


def answers_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    """Rule 5: replies leave with the Ready instead of after its sync."""
    original = Core.ready

    def ready(self: Core, persist: bool = True) -> Ready | None:
        self.messages += self.after
        self.after = []
        return original(self, persist)

    patch.setattr(Core, "ready", ready)


def executes_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    """Rule 3: what is committed is executed, durable here or not."""
    original = Core.ready

    def ready(self: Core, persist: bool = True) -> Ready | None:
        self.log.stable = max(self.log.stable, min(self.log.committed, self.log.last_index))
        return original(self, persist)

    patch.setattr(Core, "ready", ready)


def acknowledges_what_is_being_rewritten(patch: pytest.MonkeyPatch) -> None:
    """Rule 4: the answer to a Ready counts although a later one in flight replaces its entries."""
    patch.setattr(Core, "rewrite", lambda self, first: None)


def votes_for_shorter_logs(patch: pytest.MonkeyPatch) -> None:
    """Raft section 5.4.1."""
    patch.setattr(Log, "is_current", lambda self, index, term: True)


def confirms_reads_without_a_round(patch: pytest.MonkeyPatch) -> None:
    """Rule 10: leadership is taken for granted."""
    original = Leader._confirm_reads

    def confirm(self: Leader) -> None:
        for member in self.peers:
            self.reads.echo(member, self.reads.number)
        original(self)

    patch.setattr(Leader, "_confirm_reads", confirm)


def reads_before_a_commit_of_the_own_term(patch: pytest.MonkeyPatch) -> None:
    """Rule 10: a fresh leader's commit index may be behind."""
    original = Leader.begin

    def begin(self: Leader) -> None:
        original(self)
        self.since = 0

    patch.setattr(Leader, "begin", begin)


@pytest.mark.parametrize(
    ("broken", "first"),
    [
        (answers_before_the_sync, 15),
        (executes_before_the_sync, 0),
        (acknowledges_what_is_being_rewritten, 140),
        (votes_for_shorter_logs, 0),
        (confirms_reads_without_a_round, 100),
        (reads_before_a_commit_of_the_own_term, 0),
    ],
)
def test_a_broken_rule_is_noticed(broken: Break, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """first: where the search begins, near a seed that is known to notice."""
    broken(monkeypatch)
    for seed in range(first, first + SEEDS):
        chaos = Chaos(seed, 3 if seed % 2 else 5)
        try:
            for _ in range(8000):
                chaos.step()
            chaos.heal()
        except Exception:  # noqa: BLE001 - an assertion of the checks, or Fatal from a core that contradicts itself
            return
    pytest.fail(f"{broken.__name__} went unnoticed in {SEEDS} seeds")
