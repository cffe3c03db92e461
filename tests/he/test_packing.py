from __future__ import annotations

import numpy as np
import pytest
from encryption import negacyclic
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.errors import ParameterError
from hecf.he.product.packing import ProductPacking

BOUND = 50
PRIME = 2_147_483_647
powers = st.sampled_from([1, 2, 4, 8])
sizes = st.integers(1, 11)


def products(packing: ProductPacking, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sums over the blocks of schoolbook products, (left groups, right groups, N), centred."""
    first, second = packing.pack_left(left), packing.pack_right(right)
    out = np.zeros((len(first), len(second), packing.ring_degree), dtype=np.int64)
    for i, j in np.ndindex(out.shape[:2]):
        for block in range(first.shape[1]):
            out[i, j] += negacyclic(first[i, block], second[j, block], PRIME)
    out %= PRIME
    return np.where(out > PRIME // 2, out - PRIME, out)


def random_operands(seed: int, inner: int, left: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    a = random.integers(-BOUND, BOUND + 1, (inner, left))
    return a, random.integers(-BOUND, BOUND + 1, (inner, right))


@settings(max_examples=60, deadline=None)
@given(powers, powers, powers, sizes, sizes, sizes, st.integers(0, 2**32))
def test_the_product_gathers_at_the_positions(
    m: int, u: int, n: int, inner: int, left: int, right: int, seed: int
) -> None:
    packing = ProductPacking(m, u, n)
    a, b = random_operands(seed, inner, left, right)
    tiles = products(packing, a, b)[:, :, packing.positions]
    out = packing.unpack_result(tiles.astype(np.float64), left, right)
    assert np.array_equal(out, a.T @ b)


@settings(max_examples=40, deadline=None)
@given(powers, powers, powers, sizes, sizes, sizes, st.integers(0, 2**32))
def test_shapes_and_counts(
    m: int, u: int, n: int, inner: int, left: int, right: int, seed: int
) -> None:
    packing = ProductPacking(m, u, n)
    a, b = random_operands(seed, inner, left, right)
    blocks = -(-inner // u)
    assert packing.pack_left(a).shape == (-(-left // m), blocks, m * u * n)
    assert packing.pack_right(b).shape == (-(-right // n), blocks, m * u * n)
    # Every entry is somewhere, exactly once, and nothing else is.
    for packed, matrix in ((packing.pack_left(a), a), (packing.pack_right(b), b)):
        assert np.array_equal(
            np.sort(packed[packed != 0], axis=None), np.sort(matrix[matrix != 0], axis=None)
        )
    assert len(set(packing.positions.tolist())) == m * n
    assert packing.positions.max() < packing.ring_degree


@settings(max_examples=40, deadline=None)
@given(powers, powers, powers, sizes, sizes, st.integers(0, 2**32))
def test_results_are_laid_out_as_they_are_read(
    m: int, u: int, n: int, left: int, right: int, seed: int
) -> None:
    packing = ProductPacking(m, u, n)
    matrix = np.random.default_rng(seed).integers(-BOUND, BOUND + 1, (left, right))
    tiles = packing.pack_result(matrix)
    assert tiles.shape == (-(-left // m), -(-right // n), m * n)
    assert np.array_equal(packing.unpack_result(tiles.astype(float), left, right), matrix)


@pytest.mark.parametrize("sizes", [(2, 8, 4), (1, 64, 1), (4, 4, 4)])
def test_other_coefficients_are_not_the_product(sizes: tuple[int, int, int]) -> None:
    """Negative control: reading one coefficient beside the positions gives something else."""
    packing = ProductPacking(*sizes)
    a, b = random_operands(5, packing.inner, packing.left, packing.right)
    tiles = products(packing, a, b)
    expected = (a.T @ b).reshape(-1)
    assert np.array_equal(tiles[0, 0, packing.positions], expected)
    for shift in range(1, packing.inner):
        moved = (packing.positions + shift) % packing.ring_degree
        assert not np.array_equal(np.abs(tiles[0, 0, moved]), np.abs(expected))
    others = np.setdiff1d(np.arange(packing.ring_degree), packing.positions)
    # What is left there is a function of the inputs: it has to be hidden.
    assert np.count_nonzero(tiles[0, 0, others]) > len(others) // 2


def test_without_an_inner_dimension_no_coefficient_is_unused() -> None:
    packing = ProductPacking(8, 1, 16)
    assert np.array_equal(packing.positions, np.arange(128))


@pytest.mark.parametrize("sizes", [(0, 4, 4), (3, 4, 4), (4, -4, 4), (4, 4, 12)])
def test_sizes_that_are_no_powers_of_two_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ParameterError, match="no power of two"):
        ProductPacking(*sizes)
