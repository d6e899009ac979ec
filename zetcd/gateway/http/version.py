"""/version, and the version that the gateway speaks for: clients choose paths and features by it."""

ETCD_VERSION = "3.5.21"
"""Of the etcd whose protocol this is. Clients refuse or limit what they take for older or broken releases."""


def cluster_version(version: str) -> str:
    """Major and minor, as a cluster agrees on it."""
    major, minor, _ = version.split(".", 2)
    return f"{major}.{minor}"


def body(version: str = ETCD_VERSION) -> bytes:
    """The answer of ``GET /version``."""
    return f'{{"etcdserver":"{version}","etcdcluster":"{cluster_version(version)}.0"}}'.encode()
