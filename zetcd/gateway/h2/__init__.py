"""The server's side of HTTP/2 (RFC 9113, 7541) without I/O: bytes in, callbacks; bytes out, gathered for one write."""
