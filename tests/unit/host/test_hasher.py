"""The thread that hashes passwords: texts that etcd's own bcrypt takes, in order, none for whom nobody waits."""

import select
from dataclasses import dataclass

import bcrypt
import pytest

from zetcd.base.errors import Fatal
from zetcd.host.hasher import Hasher


@dataclass(eq=False)
class Job:
    password: bytes
    wanted: bool = True


def hashes(hasher: Hasher[Job], count: int) -> list[tuple[Job, bytes]]:
    done: list[tuple[Job, bytes]] = []
    while len(done) < count:
        assert select.select([hasher.done_fd], [], [], 30)[0]
        hasher.drain(lambda job, hashed: done.append((job, hashed)))
    return done


@pytest.mark.parametrize("cost", [4, 5])
def test_a_hash_is_of_the_password_and_has_etcds_form(cost: int) -> None:
    hasher: Hasher[Job] = Hasher(cost)
    jobs = [Job(password) for password in (b"", b"x", "pässword".encode(), b"a\0b", b"y" * 72)]
    for job in jobs:
        hasher.submit(job)
    found = hashes(hasher, len(jobs))
    assert [job for job, _ in found] == jobs
    for job, hashed in found:
        assert hashed.startswith(b"$2a$%02d$" % cost)
        assert len(hashed) == 60
        assert bcrypt.checkpw(job.password, hashed)
        assert not bcrypt.checkpw(job.password[:71] + b"!", hashed)


def test_what_nobody_wants_any_more_comes_back_without_work() -> None:
    hasher: Hasher[Job] = Hasher(4)
    jobs = [Job(b"1", wanted=False), Job(b"2")]
    for job in jobs:
        hasher.submit(job)
    found = hashes(hasher, 2)
    assert [job for job, _ in found] == jobs
    assert [bool(hashed) for _, hashed in found] == [False, True]
    hasher.drain(lambda *_: pytest.fail("nothing is left"))


def test_a_thread_that_fails_ends_the_process_and_leaves_nobody_waiting() -> None:
    hasher: Hasher[Job] = Hasher(4)
    hasher.submit(Job(b"x" * 73))  # bcrypt refuses it; api does before
    with pytest.raises(Fatal, match="bcrypt failed: password cannot be longer"):
        hashes(hasher, 1)
