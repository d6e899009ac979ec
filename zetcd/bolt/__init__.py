"""F2: database files of bbolt, the format of etcd's backend: written from sorted rows, page by page."""
