"""Between native messages and protobuf, and payloads in chunks; nothing else."""
