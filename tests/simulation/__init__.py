"""A seeded simulator of a coalition in which everything that can go wrong does (control C27).

One thread, a clock that is set, and state on a disk: requests and responses are lost, requests
come twice or are replayed under other names, node and key holder die at every checkpoint and start
again from what lies on the disk, disks are full, clocks jump, retailers stay away and nodes lie.

Every contribution is one-hot, so whatever is counted twice or left out stands in the result.

``python -m tests.simulation --schedules 100000 --seed 1`` runs more than the tests do.
"""
