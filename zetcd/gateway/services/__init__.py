"""etcd's services on the ZeroMQ API: protobuf messages to request maps, reply maps to protobuf messages.

Both have etcd's field names, so most of it is one line for each method. What is not is where etcd's API and the ZeroMQ
API differ in shape: the union in transactions, the streams.
"""

from zetcd.gateway.link import Link
from zetcd.gateway.rpc import Method, Methods
from zetcd.gateway.services import auth, cluster, election, health, kv, lease, lock, maintenance, reflection, watch

SERVICES = (kv, watch, lease, cluster, maintenance, auth, lock, election, health)


def methods(link: Link) -> Methods:
    """Every method of the gateway, by path."""
    found: dict[str, Method] = {}
    for service in SERVICES:
        found.update(service.methods(link))
    found.update(reflection.methods())
    return found
