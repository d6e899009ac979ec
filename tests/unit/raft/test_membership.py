"""Ids and first entries of a cluster."""

from zetcd.cluster.membership import bootstrap_blocks, bootstrap_members, cluster_id, member_id
from zetcd.wire.entry import BlockKind, MemberChange, decode_entries

TOKEN = "etcd-cluster"


def test_ids_are_those_that_etcd_computes() -> None:
    """What `etcd` started without flags shows everywhere: member 8e9e05c52164694d, cluster cdf818194e3a8c32."""
    member = member_id(["http://localhost:2380"], TOKEN)
    assert f"{member:x}" == "8e9e05c52164694d"
    assert f"{cluster_id([member]):x}" == "cdf818194e3a8c32"


def test_ids_do_not_depend_on_the_order_of_urls_or_members() -> None:
    urls = ["tcp://a:2380", "tcp://b:2380"]
    assert member_id(urls, TOKEN) == member_id(urls[::-1], TOKEN)
    assert cluster_id([1, 2, 3]) == cluster_id([3, 1, 2])
    assert member_id(urls, TOKEN) != member_id(urls, "other")


def test_every_founder_begins_with_the_same_entries() -> None:
    cluster = [("m1", "tcp://a:1"), ("m2", "tcp://b:1"), ("m1", "tcp://a:0")]
    members = bootstrap_members(cluster, TOKEN)
    assert members == bootstrap_members(cluster[::-1], TOKEN)
    assert sorted(name for _, name, _ in members) == ["m1", "m2"]
    blocks = bootstrap_blocks(members)
    assert [(b.first, b.last, b.term, b.kind) for b in blocks] == [
        (1, 1, 1, BlockKind.MEMBERSHIP),
        (2, 2, 1, BlockKind.MEMBERSHIP),
    ]
    changes = [decode_entries(1, block.data)[0].command for block in blocks]
    assert [change.member for change in changes if isinstance(change, MemberChange)] == [m for m, _, _ in members]
