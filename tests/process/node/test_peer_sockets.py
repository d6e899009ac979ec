"""What libzmq does with the sockets between members."""

import zmq

from tests.compat.oracle import free_ports
from zetcd.host import sockets


def test_a_lane_that_comes_again_before_its_former_connection_has_ended_is_heard() -> None:
    """It used to be ignored for ever: a member that was held up for longer than its peers waited heard nobody again."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    [port] = free_ports(1)
    url = f"tcp://127.0.0.1:{port}"
    router = sockets.bind_peers(context, (url,))
    lanes = []
    try:
        for number in range(3):
            lanes.append(sockets.connect_peer(context, url, b"7:0:1", 10))
            assert lanes[-1].poll(5_000, zmq.POLLOUT)
            lanes[-1].send(b"%d" % number)
            assert router.poll(5_000), f"life {number} of the lane is not heard"
            assert router.recv_multipart() == [b"7:0:1", b"%d" % number]
            router.send_multipart([b"7:0:1", b"answer"])
            assert lanes[-1].poll(5_000), "and answers take the new way"
            assert lanes[-1].recv() == b"answer"
    finally:
        for sock in (router, *lanes):
            sock.close(0)
        context.term()
