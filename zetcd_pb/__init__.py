"""etcd's messages, as Google's protobuf runtime reads and writes them: generated from `proto/` by `make proto`."""
