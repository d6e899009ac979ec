"""The gateway: etcd's gRPC and HTTP/JSON on one port, translated to the ZeroMQ API. It holds no state of its own."""
