"""gRPC over HTTP/2: `rpc.Methods` as a client of any language sees them."""
