"""Keyword options that several calls share, as etcd names them."""

from typing import TypedDict

from zetcd.client.requests import SortOrder, SortTarget


class RangeOptions(TypedDict, total=False):
    """Of range, get_prefix and op.get."""

    limit: int
    revision: int
    sort_order: SortOrder
    sort_target: SortTarget
    serializable: bool
    keys_only: bool
    count_only: bool
    min_mod_revision: int
    max_mod_revision: int
    min_create_revision: int
    max_create_revision: int


class PutOptions(TypedDict, total=False):
    """Of op.put."""

    lease: int
    prev_kv: bool
    ignore_value: bool
    ignore_lease: bool


class DeleteOptions(TypedDict, total=False):
    """Of op.delete."""

    prev_kv: bool
