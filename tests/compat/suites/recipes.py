"""How the suites of three Python clients of etcd are set up and run: packages as published, pins, what they expect."""

from typing import NamedTuple

CLIENTS = (2379, 12379, 22379)
PEERS = (2380, 2381, 2382)
NAMES = ("pifpaf0", "pifpaf1", "pifpaf2")
"""Ports and names that the suites are written for."""

ETCETRA_CONFTEST = """\
import os

import pytest_asyncio

from etcetra import EtcdClient, HostPortPair


@pytest_asyncio.fixture
async def etcd():
    client = EtcdClient(HostPortPair.parse(os.environ["BACKEND_ETCD_ADDR"]))
    try:
        yield client
    finally:
        async with client.connect() as communicator:
            await communicator.delete_prefix("/test")
"""


class Recipe(NamedTuple):
    """One suite.

    sdist, sha256: its source package on PyPI, which holds the tests; packages: what its virtual environment gets (the
    client and the versions of other packages that its tests were written for); flags: of pytest, in the directory of
    the sdist; environment: variables, in which ``{cwd}`` is that directory; cluster: further variables where three
    members run; files: what the sdist lacks, by path.
    """

    name: str
    version: str
    sha256: str
    packages: tuple[str, ...]
    flags: tuple[str, ...]
    environment: dict[str, str]
    cluster: dict[str, str]
    files: dict[str, str]

    @property
    def sdist(self) -> str:
        """As pip wants it."""
        return f"{self.name}=={self.version}"


AETCD = Recipe(
    "aetcd",
    "1.0.0",
    "9d7173c9909ea3fc8a54dc7c82227c0ddf439d1b42c1bd2496956297d76c1107",
    ("aetcd==1.0.0", "pytest==9.0.3", "pytest-asyncio==1.3.0", "pytest-mock==3.15.1", "pytest-cov", "pytest-timeout"),
    ("tests", "--no-cov", "--with-cluster", "-c", "pyproject.toml"),
    {},
    {},
    {},
)
ETCD3 = Recipe(
    "etcd3",
    "0.12.0",
    "89a704cb389bf0a010a1fa050ce19342d23bf6371ebda1c21cfe8ff3ed488726",
    (
        "etcd3==0.12.0", "protobuf<3.21", "tenacity==6.1.0", "hypothesis<5", "pytest<9", "pytest-timeout", "mock",
        "six", "setuptools<70",
    ),
    ("tests",),
    {"ETCDCTL_API": "3", "TEST_ETCD_VERSION": "v3.4.23", "PYTHONPATH": "{cwd}:{cwd}/etcd3"},
    {"ETCDCTL_ENDPOINTS": ",".join(f"http://localhost:{port}" for port in CLIENTS)},
    {},
)  # fmt: skip
ETCETRA = Recipe(
    "etcetra",
    "0.1.19",
    "bb8f710e54c3b6d6f85d219ea89e73edaa3916677966c7f72430381a28619a46",
    ("etcetra==0.1.19", "pytest<8", "pytest-asyncio<0.22", "pytest-mock", "pytest-timeout", "setuptools<70"),
    ("tests", "--asyncio-mode=auto"),
    {"BACKEND_ETCD_ADDR": f"127.0.0.1:{CLIENTS[0]}"},
    {},
    {"tests/conftest.py": ETCETRA_CONFTEST},
)
RECIPES = {recipe.name: recipe for recipe in (AETCD, ETCD3, ETCETRA)}
