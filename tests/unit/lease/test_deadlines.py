"""The wheel gives out each lease once, when its time has come, however its deadline was moved."""

from hypothesis import given
from hypothesis import strategies as st

from zetcd.lease.deadlines import NEVER, SLOT_MS, Lease, Wheel


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5_000), st.integers(0, 600)), max_size=60))
def test_against_a_plain_list(moves: list[tuple[int, int, int]]) -> None:
    wheel = Wheel()
    leases = [Lease(number, 10, 1) for number in range(6)]
    now = 0
    for number, ahead, passes in moves:
        leases[number].deadline = now + ahead
        wheel.add(leases[number])
        now += passes
        due = wheel.due(now)
        given_out = [lease.id for lease in due]
        assert len(given_out) == len(set(given_out))
        for lease in leases:
            assert lease.id in given_out or lease.deadline > now - now % SLOT_MS
            assert lease.id not in given_out or lease.deadline <= now
        for lease in due:
            lease.deadline = NEVER
