"""zetcd: etcd v3 rebuilt as a multi-process actor system."""

__version__ = "0.1.0"
