"""One member for all tests of this directory: each uses keys of its own."""

from collections.abc import Iterator

import pytest

from tests.process.api.dealer import Dealer
from tests.process.member import Member


@pytest.fixture(scope="session")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    with Member(tmp_path_factory.mktemp("member")) as one:
        yield one


@pytest.fixture
def dealer(member: Member) -> Iterator[Dealer]:
    with Dealer(member.endpoint) as one:
        yield one
