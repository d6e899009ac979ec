"""Memory of the member behind an endpoint, if it runs on this machine.

All processes of a member work in one directory. So whoever listens on the endpoint's port tells the directory, and the
directory tells the others. Memory is PSS: pages that several processes map count once.
"""

import contextlib

import psutil


def member_memory(endpoint: str) -> int:
    """Bytes; 0 where the member is elsewhere, or its processes belong to somebody else."""
    _, _, port = endpoint.rpartition(":")
    directory = _directory_of(int(port)) if port.isdecimal() else ""
    if not directory:
        return 0
    total = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.cwd() == directory:
                total += process.memory_full_info().pss
    return total


def _directory_of(port: int) -> str:
    """Where the process works that listens on port; empty if there is none that we may look at."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            address = connection.laddr
            if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
                return psutil.Process(connection.pid).cwd()
    return ""
