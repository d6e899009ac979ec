"""Fixtures that every suite may use, and how hypothesis behaves on a machine that is busy with the other workers."""

from hypothesis import HealthCheck, settings

from tests.compat.oracle import etcd34, etcd35

__all__ = ["etcd34", "etcd35"]

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
