"""member replace: from wherever it is begun or broken off it comes to the same end, and never adds two members."""

import itertools
import random
from typing import Any

import pytest

from zetcd.base import errors as etcd
from zetcd.cli.ctl import replace
from zetcd.cli.ctl.exits import Exit
from zetcd.cli.ctl.flags import flag, parse
from zetcd.cli.ctl.replace import Step, missing_step
from zetcd.session.errors import Error
from zetcd.wire.client import MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest

OLD, NEW_URL, OLD_URL = 0xAB, "tcp://new:1", "tcp://old:1"
FLAGS = (
    flag("peer-urls", "", ""), flag("wait", 600.0, "", duration=True), flag("write-out", "simple", ""),
)  # fmt: skip


class Cluster:
    """Members as a server has them; requests may get lost, or their answers, or come into force late."""

    def __init__(self, seed: int = 0, faults: float = 0.0, behind: int = 0) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.behind = behind  # promotions refused before the learner is in sync
        self.members: dict[int, dict[str, Any]] = {
            member: {"ID": member, "name": f"m{member}", "peerURLs": [f"tcp://{member}:1"]} for member in (1, 2)
        }
        self.members[OLD] = {"ID": OLD, "name": "gone", "peerURLs": [OLD_URL]}
        self.removed: list[int] = []
        self.added = itertools.count(1000)
        self.late: list[Any] = []

    def call(self, request: Any, timeout: float = 0) -> dict[str, Any]:
        if isinstance(request, MemberListRequest):
            self._catch_up()
            return self._reply()
        fate = self.random.random() / self.faults if self.faults else 9.0
        if fate < 1 / 3:
            raise Error(etcd.UNAVAILABLE, etcd.TIMEOUT.message, outcome_unknown=True)
        if fate < 2 / 3:
            self.late.append(request)
            raise Error(etcd.UNAVAILABLE, etcd.TIMEOUT.message, outcome_unknown=True)
        reply = self._execute(request)
        if fate < 1:
            raise Error(etcd.UNAVAILABLE, etcd.TIMEOUT.message, outcome_unknown=True)
        return reply

    def _catch_up(self) -> None:
        if self.random.random() < 0.5:
            late, self.late = self.late, []
            for request in late:
                try:
                    self._execute(request)
                except Error:
                    continue

    def _execute(self, request: Any) -> dict[str, Any]:
        if isinstance(request, MemberAddRequest):
            if any(set(request.peerURLs) & set(row["peerURLs"]) for row in self.members.values()):
                self._refuse(etcd.PEER_URL_EXISTS)
            member = next(self.added)
            self.members[member] = {"ID": member, "peerURLs": request.peerURLs, "isLearner": request.isLearner}
            return self._reply() | {"member": self.members[member]}
        if request.ID not in self.members:
            self._refuse(etcd.MEMBER_NOT_FOUND)
        if isinstance(request, MemberRemoveRequest):
            del self.members[request.ID]
            self.removed.append(request.ID)
        else:
            assert isinstance(request, MemberPromoteRequest)
            if self.behind:
                self.behind -= 1
                self._refuse(etcd.LEARNER_NOT_READY)
            if not self.members[request.ID].pop("isLearner", False):
                self._refuse(etcd.MEMBER_NOT_LEARNER)
        return self._reply()

    @staticmethod
    def _refuse(error: etcd.Error) -> None:
        raise Error(error.code, error.message)

    def _reply(self) -> dict[str, Any]:
        return {"header": {"cluster_id": 7}, "members": list(self.members.values()), "removed": self.removed}


class Screen:
    """A console without sockets."""

    timeout = 1.0
    format = "simple"

    def __init__(self, cluster: Cluster, *words: str) -> None:
        self.client = cluster
        self.parsed = parse(FLAGS, words)
        self.args = self.parsed.args
        self.lines: list[str] = []

    def call(self, request: Any) -> dict[str, Any]:
        return self.client.call(request)

    def check_format(self) -> None: ...

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replace, "pause", lambda _: None)


def run(cluster: Cluster, url: str = NEW_URL, *flags: str, old: int = OLD) -> list[str]:
    screen = Screen(cluster, f"{old:x}", "fresh", f"--peer-urls={url}", *flags)
    replace.replace(screen)  # type: ignore[arg-type]
    return screen.lines


def test_it_says_what_it_did_and_what_to_start() -> None:
    cluster = Cluster(behind=3)
    assert run(cluster) == [
        "Member 3e8 added to cluster 7 as learner",
        "Start member 3e8 on an empty data directory with",
        'ZETCD_NAME="fresh"',
        'ZETCD_INITIAL_CLUSTER="m1=tcp://1:1,m2=tcp://2:1,gone=tcp://old:1,fresh=tcp://new:1"',
        'ZETCD_INITIAL_ADVERTISE_PEER_URLS="tcp://new:1"',
        'ZETCD_INITIAL_CLUSTER_STATE="existing"',
        "Waiting until member 3e8 has caught up",
        "Member 3e8 promoted in cluster 7",
        "Member ab removed from cluster 7",
        "Member ab has been replaced by 3e8",
    ]
    assert run(cluster) == ["Member ab has been replaced by 3e8 already"]


def test_a_member_at_the_same_urls_goes_first() -> None:
    cluster = Cluster()
    lines = run(cluster, "http://old:1")
    assert lines[0] == "Member ab removed from cluster 7"
    assert lines[1] == "Member 3e8 added to cluster 7 as learner"
    assert lines[-1] == "Member ab has been replaced by 3e8"


def test_broken_off_between_any_two_steps_it_goes_on_there() -> None:
    for url in (NEW_URL, OLD_URL):
        for steps in range(4):
            cluster = Cluster()
            for _ in range(steps):
                step, new = missing_step(list(cluster.members.values()), cluster.removed, OLD, [url])
                cluster.call(
                    {
                        Step.ADD: MemberAddRequest([url], isLearner=True),
                        Step.PROMOTE: MemberPromoteRequest(new),
                        Step.REMOVE: MemberRemoveRequest(OLD),
                    }.get(step, MemberListRequest())
                )
            run(cluster, url)
            assert set(cluster.members) == {1, 2, 1000}


@pytest.mark.parametrize("url", [NEW_URL, OLD_URL])
def test_lost_late_and_doubtful_answers_do_no_harm(url: str) -> None:
    ends = 0
    for seed in range(300):
        cluster = Cluster(seed, faults=0.6, behind=seed % 3)
        for _ in range(20):  # somebody gives the command again
            try:
                run(cluster, url, "--wait=1h")
            except Exit:
                continue
            ends += 1
            break
        assert set(cluster.members) == {1, 2, 1000}, seed
        assert not cluster.members[1000].get("isLearner")
        assert cluster.removed == [OLD]
    assert ends == 300


def test_an_id_that_was_never_a_member_is_an_error_before_anything_happens() -> None:
    cluster = Cluster()
    with pytest.raises(Exit, match="member not found"):
        run(cluster, old=0xCD)
    assert len(cluster.members) == 3


def test_what_is_refused_for_good_ends_it() -> None:
    cluster = Cluster()
    cluster.members[5] = {"ID": 5, "peerURLs": [NEW_URL, "tcp://elsewhere:1"]}
    with pytest.raises(Exit, match="nothing has changed"):
        run(cluster, NEW_URL, "--wait=0s")


def test_a_learner_that_does_not_come_is_named_when_the_time_is_over() -> None:
    cluster = Cluster(behind=10**9)
    with pytest.raises(Exit, match=r"member 3e8 is a learner still \(.*in sync with leader\): repeat this command"):
        run(cluster, NEW_URL, "--wait=0s")
