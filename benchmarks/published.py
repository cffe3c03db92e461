"""Figures that others have published, with their source; none of them was measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

UNKNOWN_HARDWARE = "hardware not stated there"


@dataclass(frozen=True)
class Published:
    """What others report.

    Parameters
    ----------
    figure, source, hardware : str
    beside : str
        How their work differs from the job.
    """

    figure: str
    source: str
    hardware: str
    beside: str

    def to_json(self) -> Mapping[str, str]:
        """Every field."""
        return asdict(self)


APPLE = Published(
    "published: 10.4 to 12.5 ms, query 28.2 KB, answer 52.1 KB, evaluation keys 170.2 KB",
    "github.com/apple/swift-homomorphic-encryption, PNNSProcessDatabase.md at 68b2966: 4,096 x 128",
    UNKNOWN_HARDWARE,
    "Apple stays ahead in bytes: its rotations sum the factors on the node, at the price of "
    "evaluation keys that every client uploads once; here there are none.",
)
FEDMF = Published(
    "published: 7.23 to 8.04 s an iteration (the first ten), of which the server 1.1 to 1.2 s",
    "github.com/Di-Chai/FedMF, result/FedMF-Full.txt at c53898a, 7 users x 40 items",
    UNKNOWN_HARDWARE,
    "Theirs counts the slowest user, not all of them, with the user's own gradient steps and a "
    "transfer estimated at 1 Gb/s, under a Paillier key that all users share.",
)
FETCH_1K = Published(
    "published: 5.4 and 9.5 s of encrypted computation, of which 3 and 7 s the matrix product",
    "github.com/fhe-benchmarking/fetch-by-similarity, README.md at 1461853, toy: 1,000 x 128",
    UNKNOWN_HARDWARE,
    "Theirs also compares with a threshold and returns payloads, all under encryption; here the "
    "querier decrypts all scores.",
)
FETCH_50K = Published(
    "published: 50.8 s of encrypted computation, database 5.6 GB, query 24.0 MB",
    "github.com/fhe-benchmarking/fetch-by-similarity, measurements/count_small/results-1.json at "
    "1c8f2f2: 50,000 x 128",
    UNKNOWN_HARDWARE,
    "Theirs also compares with a threshold and counts the matches under encryption; here the "
    "querier decrypts all scores.",
)
