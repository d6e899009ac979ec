"""What all requests of clients have in common."""

from typing import Annotated

from msgspec import Meta, Struct

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
UInt64 = Annotated[int, Meta(ge=0)]  # MessagePack itself ends at 2**64 - 1


class ClientRequest(Struct, frozen=True, tag_field="op", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """require_leader: refused at once with etcd's "no leader" where this member knows none, and watches created with it
    end so, too (in etcd the metadata ``hasleader``)."""

    require_leader: bool = False
