"""`zetcd.client` loads its names when they are used, and only what they need."""

import subprocess
import sys

import zetcd.client


def test_every_public_name_is_there() -> None:
    assert set(zetcd.client.__all__) == {name for names in zetcd.client._HOMES.values() for name in names}
    assert all(getattr(zetcd.client, name) is not None for name in zetcd.client.__all__)
    assert dir(zetcd.client) == zetcd.client.__all__
    assert not hasattr(zetcd.client, "Clientele")


def test_a_program_that_puts_and_gets_loads_no_asyncio() -> None:
    program = """
import sys
from zetcd.client import Client, Error, compare, op
Client("tcp://127.0.0.1:1", connect_timeout=0.1).close()
print(*sorted(sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(run.stdout.split())
    assert "zetcd.client.sync" in loaded
    assert not loaded & {"asyncio", "ssl", "logging", "zetcd.client.aio", "zetcd.client.watch"}
