from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.errors import Mismatch
from hecf.he import kernels, loops, messages, modular, ntt
from hecf.he.kernels import LoadedMatrix
from hecf.he.own_key.node import _batch_tiles, _query_tiles
from hecf.he.parameters import largest_primes
from hecf.he.similarity import ring

LIBRARY = loops.LIBRARY
SIZES = [largest_primes(1024, bits, 1)[0] for bits in (15, 20, 23, 24)]
PRIMES = largest_primes(4096, 24, 2)
seeds = st.integers(0, 2**32)


def test_the_library_is_built_where_there_is_a_compiler() -> None:
    # Without it the tests below compare NumPy with itself.
    assert loops.available() == any(shutil.which(name) for name in ("cc", "gcc", "clang"))


@pytest.fixture(autouse=True)
def library_comes_back():  # type: ignore[no-untyped-def]
    yield
    loops.LIBRARY = LIBRARY


def both(function, *arguments):  # type: ignore[no-untyped-def]
    """The result of a function with the loops and without."""
    loops.LIBRARY = LIBRARY
    fast = function(*[a.copy() if isinstance(a, np.ndarray) else a for a in arguments])
    loops.LIBRARY = None
    slow = function(*[a.copy() if isinstance(a, np.ndarray) else a for a in arguments])
    loops.LIBRARY = LIBRARY
    return fast, slow


def words_of(random: np.random.Generator, shape: tuple[int, ...], primes) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Words (..., L, N) of which a third are extremes."""
    words = np.empty(shape, dtype=np.uint32)
    for index, prime in enumerate(primes):
        part = random.integers(0, prime, (*shape[:-2], shape[-1]))
        extremes = random.choice([0, 1, prime // 2, prime // 2 + 1, prime - 1], part.shape)
        words[..., index, :] = np.where(random.random(part.shape) < 1 / 3, extremes, part)
    return words


@settings(deadline=None)
@given(st.sampled_from(SIZES), st.integers(1, 5000), seeds)
def test_conversions_equal_numpy(prime: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    words = words_of(random, (1, count), [prime])[0]
    for function in (modular.centre,):
        fast, slow = both(function, words, prime)
        assert fast.dtype == slow.dtype == np.float64
        assert np.array_equal(fast, slow)
    fast, slow = both(modular.to_words, modular.centre(words, prime), prime)
    assert np.array_equal(fast, slow)
    assert np.array_equal(fast, words)


@settings(deadline=None)
@given(st.sampled_from(SIZES), st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=40))
def test_reduction_equals_python_integers(prime: int, values: list[int]) -> None:
    limit = 2**53 - prime
    exact = [max(-limit, min(limit, value)) for value in values] + [limit, -limit]
    # Neighbours of every multiple's midpoint are where a quotient is rounded wrong.
    exact += [prime * (limit // prime - 1) + prime // 2 + step for step in (0, 1)]
    array = np.array(exact, dtype=np.float64)
    fast, slow = both(modular.reduce_centred, array, prime)
    assert np.array_equal(fast, slow)
    assert [int(value) % prime for value in fast] == [value % prime for value in exact]
    assert np.abs(fast).max() <= prime // 2
    fast, slow = both(modular.reduce_to_words, array, prime)
    assert fast.tolist() == slow.tolist() == [value % prime for value in exact]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "threads", lambda values=0: threads)
    random = np.random.default_rng(threads)
    words = words_of(random, (1, 9 * 4096 + 17), PRIMES[:1])[0]
    fast, slow = both(modular.centre, words, PRIMES[0])
    assert np.array_equal(fast, slow)
    left = words_of(random, (2, 3, 2, 1, 100), PRIMES[:1])
    fast, slow = both(kernels.multiply, left, left, PRIMES[:1])
    assert np.array_equal(fast, slow)
    step = ntt.transform(1024, PRIMES[0])
    values = modular.centre(words[: 7 * 1024].reshape(7, 1024), PRIMES[0])
    fast, slow = both(step.forward, values)
    assert np.array_equal(fast, slow)


def test_threads_follow_the_setting_of_blas() -> None:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        assert loops.threads() == 1
    with threadpool_limits(2):
        assert loops.threads() == 2
        assert loops.threads(10) == 1


shapes = st.tuples(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 9), st.integers(1, 40)
).filter(lambda s: math.prod(s) < 40_000)


@settings(deadline=None, max_examples=60)
@given(shapes, st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 2)]), seeds)
def test_products_equal_numpy(
    shape: tuple[int, int, int, int], components: tuple[int, int], seed: int
) -> None:
    groups, others, blocks, degree = shape
    random = np.random.default_rng(seed)
    left = words_of(random, (groups, blocks, components[0], 2, degree), PRIMES)
    right = words_of(random, (others, blocks, components[1], 2, degree), PRIMES)
    fast, slow = both(kernels.multiply, left, right, PRIMES)
    assert np.array_equal(fast, slow)


@pytest.mark.parametrize("prime", SIZES)
@pytest.mark.parametrize("blocks", [255, 256, 257, 700])
def test_long_sums_of_extremes_are_exact(prime: int, blocks: int) -> None:
    left = np.empty((2, blocks, 2, 1, 16), dtype=np.uint32)
    left[0], left[1] = prime // 2, prime // 2 + 1
    out = kernels.multiply(left, left, (prime,))
    for g, h in np.ndindex(2, 2):
        exact = blocks * int(left[g, 0, 0, 0, 0]) * int(left[h, 0, 0, 0, 0])
        assert set(out[g, h, [0, 2]].ravel().tolist()) == {exact % prime}
        assert set(out[g, h, 1].ravel().tolist()) == {2 * exact % prime}
    # One word less in one summand changes every result it enters.
    left[0, -1, 0] -= 1
    assert not np.array_equal(out[0], kernels.multiply(left, left, (prime,))[0])


@pytest.mark.parametrize("components", [(2, 2), (2, 1), (1, 2), (1, 1)])
def test_loaded_matrices_give_the_same_products(components: tuple[int, int]) -> None:
    random = np.random.default_rng(5)
    left = words_of(random, (3, 300, components[0], 2, 48), PRIMES)
    right = words_of(random, (5, 300, components[1], 2, 48), PRIMES)
    a, b = LoadedMatrix.load(left, PRIMES), LoadedMatrix.load(right, PRIMES)
    assert np.array_equal(a.words, left)
    fast, slow = both(lambda: kernels.multiply_loaded(a, b))
    assert np.array_equal(fast, slow)
    assert np.array_equal(fast, kernels.multiply(left, right, PRIMES))
    with pytest.raises(Mismatch):
        kernels.multiply_loaded(a, LoadedMatrix.load(right, PRIMES[::-1]))
    assert kernels.multiply_loaded(a, b, slow) is slow
    for wrong in (slow[:2], slow.astype(np.int64), np.asfortranarray(slow)):
        with pytest.raises(Mismatch):
            kernels.multiply_loaded(a, b, wrong)


def test_products_do_not_depend_on_where_arrays_start() -> None:
    random = np.random.default_rng(6)
    words = words_of(random, (3, 40, 2, 2, 48), PRIMES)
    a = LoadedMatrix.load(words, PRIMES)
    product = kernels.multiply_loaded(a, a)
    for start in (0, 1):
        space = loops.empty((product.size + 16,), np.uint32)
        space[:] = 7
        out = space[start : start + product.size].reshape(product.shape)
        assert (out.ctypes.data % loops.CACHE_LINE == 0) == (start == 0)
        assert np.array_equal(kernels.multiply_loaded(a, a, out), product)
        assert (space[start + product.size :] == 7).all()
    assert np.array_equal(kernels.multiply(words, words, PRIMES), product)


@pytest.mark.parametrize("degree", [1024, 16384])
def test_products_with_small_polynomials_are_the_same_and_exact(degree: int) -> None:
    random = np.random.default_rng(degree)
    words = words_of(random, (3, 1, degree), PRIMES[:1])[:, 0]
    words[0] = PRIMES[0] - 1
    small = random.integers(-1, 2, (1, degree)).astype(np.int8)
    fast, slow = both(lambda: ring.coefficients(ring.spectrum(words) * ring.spectrum(small)))
    assert np.array_equal(fast, slow)
    exact = np.convolve(words[1].astype(np.int64), small[0].astype(np.int64))
    exact = np.append(exact, 0)
    assert np.array_equal(fast[1], exact[:degree] - exact[degree:])


@pytest.mark.parametrize("degree", [1024, 2048, 8192])
@pytest.mark.parametrize("lanes", [1, 8, 11])
@pytest.mark.parametrize("columnwise", [False, True])
def test_products_with_a_small_factor_are_exact(degree: int, lanes: int, columnwise: bool) -> None:
    random = np.random.default_rng(degree + lanes)
    prime, count = PRIMES[0], degree - 3
    words = words_of(random, (lanes, 1, degree), [prime])[:, 0]
    addend = words_of(random, (lanes, 1, count), [prime])[:, 0]
    words[0], addend[0] = prime - 1, prime - 1
    if columnwise:
        words, addend = np.asfortranarray(words), np.asfortranarray(addend)
    small = random.integers(-1, 2, degree) if lanes > 1 else np.ones(degree, dtype=np.int64)
    factor = ring.SmallFactor(small)

    def results(words: np.ndarray, addend: np.ndarray) -> np.ndarray:
        order = "F" if columnwise else "C"
        reduced = np.full((lanes, count), 7, dtype=np.uint32, order=order)
        centred = np.full((lanes, count), 7.0, order=order)
        factor.multiply_add(words, addend, prime, reduced)
        factor.multiply_add(words, addend, prime, centred)
        assert np.array_equal(modular.centre(reduced.copy(), prime), centred)
        return reduced

    fast, slow = both(results, words, addend)
    assert np.array_equal(fast, slow)
    full = np.array([np.append(np.convolve(w.astype(np.int64), small), 0) for w in words[[0, -1]]])
    exact = (full[:, :degree] - full[:, degree:])[:, :count] + addend[[0, -1]]
    assert np.array_equal(fast[[0, -1]], exact % prime)
    # One coefficient of the factor less is another product.
    ring.SmallFactor(np.append(small[:-1], 0)).multiply_add(words, addend, prime, slow)
    assert small[-1] == 0 or not np.array_equal(fast, slow)


@pytest.mark.parametrize("degree", [1024, 2048, 4096, 8192, 16384])
def test_transforms_equal_numpy(degree: int) -> None:
    prime = largest_primes(degree, 24, 1)[0]
    step = ntt.Transform(degree, prime)
    random = np.random.default_rng(degree)
    values = modular.centre(words_of(random, (4, 1, degree), [prime])[:, 0].copy(), prime)
    values[0], values[1] = prime // 2, -(prime // 2)
    for function in (step.forward, step.inverse):
        fast, slow = both(function, values)
        assert np.array_equal(fast, slow)
        assert np.abs(fast).max() <= prime // 2
    assert np.array_equal(step.inverse(step.forward(values)), values)
    # A transform by another root differs.
    other = ntt.Transform(degree, largest_primes(degree, 24, 2)[1])
    assert not np.array_equal(other.forward(values[2:3]), step.forward(values[2:3]))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 300), st.integers(1, 3), seeds)
def test_queries_equal_numpy(groups: int, blocks: int, tiles: int, seed: int) -> None:
    prime = PRIMES[0]
    random = np.random.default_rng(seed)
    half = prime // 2
    items = random.integers(-half, half + 1, (tiles, groups, blocks, 16)).astype(np.int32)
    query = words_of(random, (blocks, 2, 1, tiles * 16), [prime])[:, :, 0]
    if seed % 3 == 0:
        items[...], query[...] = half, half + seed % 2
    out = np.zeros((groups, 2, tiles * 16), dtype=np.uint32)
    expected = _query_tiles(items, query, prime, modular.exact_terms(prime))
    if loops.available():
        loops.query(items, query, out, prime, modular.exact_terms(prime))
    else:
        out[...] = expected
    assert np.array_equal(out, expected)
    exact = (items[0, 0].astype(object) * query[:, 1, :16].astype(object)).sum(0)
    assert out[0, 1, :16].tolist() == (exact % prime).tolist()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 80), st.integers(1, 20), seeds)
def test_batches_equal_python_integers(count: int, factors: int, panels: int, seed: int) -> None:
    large, small = largest_primes(2048, 23, 1)[0], 12289
    modulus = large * small
    random = np.random.default_rng(seed)
    bound = (2**53 - modulus) // (modulus // 2 + 1) // factors
    items = random.integers(-bound, bound + 1, (count, factors))
    items[0] = bound
    shoppers = random.integers(-(modulus // 2), modulus // 2 + 1, (factors, panels * 16))
    shoppers[:, 0] = modulus // 2
    padded = np.zeros((-(-count // 8) * 8, factors))
    padded[:count] = items
    item_panels = np.ascontiguousarray(padded.reshape(-1, 8, factors).transpose(0, 2, 1))
    tiles = shoppers.astype(np.float64).reshape(factors, panels, 16).transpose(1, 0, 2)
    fast = np.zeros((count, panels * 16), dtype=np.uint32)
    slow = np.zeros_like(fast)
    _batch_tiles(item_panels, shoppers.astype(np.float64), slow, small, large)
    if loops.available():
        loops.batch(item_panels, np.ascontiguousarray(tiles), fast, small, large)
    else:
        fast = slow
    exact = items.astype(object).dot(shoppers.astype(object)) % modulus
    exact = np.where(exact > modulus // 2, exact - modulus, exact)
    rounded = (2 * exact + small) // (2 * small) % large
    assert np.array_equal(fast, slow)
    assert fast.tolist() == rounded.tolist()


@given(st.lists(st.integers(0, 2**24 - 1), max_size=50))
def test_three_bytes_a_word(values: list[int]) -> None:
    words = np.array(values, dtype=np.uint32)
    fast, slow = both(messages.pack_words, words)
    assert fast == slow == b"".join(value.to_bytes(3, "little") for value in values)
    fast, slow = both(lambda: messages.unpack_words(memoryview(slow), words.shape))
    assert fast.tolist() == slow.tolist() == values


def test_a_missing_or_foreign_library_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(loops, "_VERSION", -1)
    assert loops._load() is None
    monkeypatch.undo()
    monkeypatch.setattr(loops, "__file__", f"{tmp_path}/loops.py")
    assert loops._load() is None
    monkeypatch.setattr(loops, "LIBRARY", None)
    assert not loops.available()
    with pytest.raises(RuntimeError, match="not there"):
        loops.pack(np.zeros(1, dtype=np.uint32))
