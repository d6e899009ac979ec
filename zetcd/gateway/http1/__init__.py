"""HTTP/1.1 requests and answers, parsed by httptools, without I/O."""
