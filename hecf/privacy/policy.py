"""What a coalition agreed to release, as one value that its terms fix."""

from __future__ import annotations

from dataclasses import dataclass

from hecf.errors import ReleaseRefused


@dataclass(frozen=True)
class ReleasePolicy:
    """The conditions under which a decrypted value may leave a key holder.

    The terms of a coalition determine every field, so their fingerprint binds the policy into each
    task. Agreed positions and the grid come with a result's plan, recipients with its task; both
    are bound in the same way.

    Parameters
    ----------
    minimum_shoppers : int
        Least number of rows under a Gram block.
    top_k : int
        Items of a shopper that are released from a score, and rows from a similarity.
    minimum_contributors : int
        Least number of parties in a sum.
    statistical_bits, releases : int
        Least strength s and number of releases tau of a plan's flooding noise.

    Raises
    ------
    ReleaseRefused
        If the policy would protect nobody.
    """

    minimum_shoppers: int
    top_k: int
    minimum_contributors: int = 2
    statistical_bits: int = 30
    releases: int = 1

    def __post_init__(self) -> None:
        numbers = (self.minimum_shoppers, self.minimum_contributors, self.top_k)
        if min(numbers[:2]) < 2 or self.top_k < 1:
            raise ReleaseRefused(
                "a release policy is too weak",
                got=numbers,
                expected="at least 2 shoppers, 2 contributors and 1 item",
            )
        if self.statistical_bits < 1 or self.releases < 1:
            raise ReleaseRefused(
                "a release policy asks for no flooding",
                got=(self.statistical_bits, self.releases),
                expected="at least 1 bit and 1 release",
            )
