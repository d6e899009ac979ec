"""Messages as they travel: one for many watchers, encoded once."""

from hypothesis import given
from hypothesis import strategies as st

from zetcd.gateway.grpc.framing import PREFIX_BYTES, framed_each
from zetcd_pb import rpc_pb2 as pb

ids = st.lists(st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1)), max_size=20)


@given(ids, st.binary(max_size=200))
def test_what_is_encoded_once_reads_as_if_each_had_been_encoded(values: list[int], value: bytes) -> None:
    message = pb.WatchResponse(watch_id=77)
    message.header.revision = 5
    message.events.add().kv.value = value
    data, found = framed_each(message, "watch_id", values), []
    while data:
        assert data[0] == 0, "not compressed"
        end = PREFIX_BYTES + int.from_bytes(data[1:PREFIX_BYTES], "big")
        found.append(pb.WatchResponse.FromString(data[PREFIX_BYTES:end]))
        data = data[end:]
    expected = []
    for number in values:
        message.watch_id = number
        expected.append(pb.WatchResponse.FromString(message.SerializeToString()))
    assert found == expected
