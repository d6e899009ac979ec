"""Fixtures that every suite may use."""

from tests.compat.oracle import etcd34, etcd35

__all__ = ["etcd34", "etcd35"]
