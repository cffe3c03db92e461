"""Concealment of a similarity: what the node adds so that the key holder learns the scores only.

The key holder has s. Of a raw panel it computes ``a S_B'`` and ``S_A a'``, where S_A and S_B are
the other parties' rows with their noise: matrices of rank d modulo a prime. With one retailer's
upload (because it is that retailer, or colludes with it) it knows a or a' and solves for the other
retailer's rows. Therefore

- every used row i of A gets a fresh encryption of zero along Y: ``a u + e`` is added to ``b a'``
  and ``b u`` to ``b b'``;
- every used row j of B gets one along X, for ``a b'`` and ``b b'``;
- every score gets Gaussian noise of :attr:`SimilarityPlan.wide_deviation`.

To somebody who knows s but no u, the parts ``a b'`` and ``b a'`` are then uniform under the
ring-LWE assumption, and ``b b'`` is what they and the noisy score imply. The part ``a a'`` is left:
it is a function of uniform halves only, which say nothing without the halves b, and those stay at
the node.

The noisy score hints at u: it contains ``x u + s e``, where x is the error of the public key. The
wide noise is what Hint-MLWE asks for (Kim, Lee, Seo and Song, CRYPTO 2023; for Gaussian secrets,
so heuristic for a ternary u): its deviation of 32 N exceeds the spectral norm of that map, which is
about ``24 sqrt(N)``, at least 40 times, so a hint makes u and e but little narrower. It does not
drown the noise of the product itself, which depends on the inputs; only a release does
(docs/decisions/0001-conceal-every-component.md, "What remains").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hecf.he import ntt, sampling
from hecf.he.matrices import PublicKey
from hecf.he.modular import Words, centre
from hecf.he.plan import LEFT, RIGHT
from hecf.he.sampling import RandomBytes
from hecf.he.similarity.plan import SimilarityPlan
from hecf.he.similarity.ring import (
    CHUNK,
    Spectrum,
    add_words,
    coefficients,
    in_threads,
    padded,
    reduce_words,
    spectrum,
)


@dataclass(frozen=True)
class PanelMask:
    """What is added to one panel's columns of b, for all its stacked rows.

    Parameters
    ----------
    columns : uint32 array, shape (L, N + rows, columns)
        Encryptions of zero along X, and the wide noise of the scores.
    """

    columns: Words


class Concealment:
    """Draws encryptions of zero under a public key.

    Parameters
    ----------
    public_key : PublicKey
    random : callable
        Source of cryptographically secure bytes.
    """

    def __init__(self, public_key: PublicKey, random: RandomBytes) -> None:
        self.parameters = public_key.parameters
        self._random = random
        self._halves: list[list[Spectrum]] = [
            [
                spectrum(step.inverse(centre(words[np.newaxis].astype(np.uint32), prime)))
                for words in public_key.words[:, index]
            ]
            for index, prime in enumerate(self.parameters.primes)
            for step in [ntt.transform(self.parameters.ring_degree, prime)]
        ]

    def panel(self, plan: SimilarityPlan, row_block: int, column_block: int) -> PanelMask:
        """Draw the masks along X and the wide noise of a panel."""
        level, stacked, _ = plan.panel_shape(row_block, column_block)
        degree = self.parameters.ring_degree
        rows = plan.block_rows(LEFT, row_block)
        columns = plan.block_rows(RIGHT, column_block)
        mask = padded((level, stacked, columns), np.uint32)

        def draw(part: slice) -> None:
            count = len(range(*part.indices(columns)))
            wide = plan.wide_deviation * sampling.gaussian((rows, count), self._random)
            noise = np.rint(wide).astype(np.int64)
            for index, (first, second) in enumerate(self._zeros(plan, count)):
                prime = plan.primes[index]
                mask[index, :degree, part] = second.T
                scores = np.ascontiguousarray(first[:, :rows].T)
                add_words(scores, (noise % prime).astype(np.uint32), prime)
                mask[index, degree:, part] = scores

        in_threads(draw, _chunks(columns))
        return PanelMask(mask)

    def add(
        self, plan: SimilarityPlan, words: Words, mask: PanelMask, first: int, used: int
    ) -> None:
        """Mask the words (L, count, N + columns) of a tile whose first stacked row is `first`.

        Parameters
        ----------
        used : int
            The tile's row at which the rows of b start; they are masked along Y as well.
        """
        degree = self.parameters.ring_degree
        count, columns = words.shape[1], words.shape[2] - degree

        def along_x(part: slice) -> None:
            for index, prime in enumerate(plan.primes):
                there = slice(first + part.start, first + part.stop)
                add_words(words[index, part, degree:], mask.columns[index, there], prime)

        def along_y(part: slice) -> None:
            rows = slice(used + part.start, used + part.stop)
            for index, zero in enumerate(self._zeros(plan, part.stop - part.start)):
                prime = plan.primes[index]
                add_words(words[index, rows, degree:], zero[0][:, :columns], prime)
                add_words(words[index, rows, :degree], zero[1], prime)

        in_threads(along_x, _chunks(count))
        in_threads(along_y, _chunks(count - used))

    def _zeros(self, plan: SimilarityPlan, count: int) -> list[tuple[Words, Words]]:
        """Return words ``(b u, a u + e)``, each (count, N), modulo every prime.

        There is no error in the first part: the wide noise of the scores takes its place.
        """
        degree = self.parameters.ring_degree
        ephemeral = spectrum(sampling.ternary((count, degree), self._random))
        error = sampling.centred_binomial((count, degree), self._random)
        zeros = []
        for prime, (first, second) in zip(plan.primes, self._halves, strict=False):
            parts = np.empty((2, count, degree), dtype=np.uint32)
            reduce_words(coefficients(ephemeral * first), prime, parts[0])
            noisy = coefficients(ephemeral * second)
            noisy += error
            reduce_words(noisy, prime, parts[1])
            zeros.append((parts[0], parts[1]))
        return zeros


def _chunks(count: int) -> list[slice]:
    return [slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
