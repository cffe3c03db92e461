"""Control C13: the key holder decrypts uniform noise, and only the mask turns it into a result."""

from __future__ import annotations

import copy
import pickle
import secrets
from typing import Any

import numpy as np
import pytest
from encryption import (
    PARAMETERS,
    exact_score,
    parties,
    score_plan,
    unit_columns,
    unit_item_model,
)
from scipy import stats

from hecf.errors import MalformedMessage, Mismatch, ParameterError, ReleaseRefused
from hecf.he import sampling
from hecf.he.blinding import (
    SEED_BYTES,
    BlindedProduct,
    BlindedResult,
    MaskSeed,
    check_room,
    flooded,
    mask,
)
from hecf.he.matrices import EncryptedProduct
from hecf.he.modular import digits_to_float, digits_to_integers, recombine
from hecf.he.plan import LEFT, RIGHT
from hecf.he.product.plan import ProductPlan
from hecf.he.product.planner import plan_gram, plan_score
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

SCHEMES = ["ckks", "clear"]
GATE = ReleaseGate(ReleasePolicy(2, 5, blinded=True), secrets.token_bytes)


def seed(number: int = 1) -> MaskSeed:
    return MaskSeed(bytes([number]) * SEED_BYTES)


def scored(plan: ProductPlan, content: int = 3) -> tuple[Any, np.ndarray]:
    """An encrypted result, and what it is in clear; content 0 is all zeros."""
    encryptor, evaluator, _ = parties(plan)
    random = np.random.default_rng(content)
    largest = min(content, 1)
    shares = [
        largest * random.uniform(-1, 1, (plan.inner, plan.left)) for _ in range(plan.summands)
    ]
    items, bias = unit_item_model(random, plan.inner, plan.right)
    operands = [encryptor.encrypt(encryptor.encode(plan, LEFT, share)) for share in shares]
    product = evaluator.score(evaluator.add(operands), items, largest * bias)
    exact = exact_score(plan, shares, items, largest * bias)
    return product, (exact / plan.scale).astype(np.float64)


def p_uniform(residues: np.ndarray, prime: int, buckets: int = 64) -> float:
    """P-value of a chi-square test that residues are uniform modulo a prime."""
    observed = np.bincount(residues.ravel().astype(np.int64) * buckets // prime, minlength=buckets)
    edges = -(-np.arange(buckets + 1) * prime // buckets)
    expected = np.diff(edges) / prime * residues.size
    return float(stats.chisquare(observed, expected).pvalue)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_recipient_reads_the_scores(scheme: str) -> None:
    plan = score_plan(scheme=scheme)
    _, evaluator, decryptor = parties(plan)
    product, expected = scored(plan)
    travelled = BlindedProduct.from_bytes(plan, evaluator.blind(product, seed()).to_bytes())
    released = GATE.blinded(decryptor.decrypt_blinded(travelled))
    values = BlindedResult.from_bytes(plan, released.to_bytes()).unblind(seed())
    assert values.shape == (plan.left, plan.right)
    assert np.abs(values - expected).max() <= plan.error_bound + 9 * plan.flooding
    assert np.corrcoef(values.ravel(), expected.ravel())[0, 1] > 0.99


def test_a_gram_block_is_blinded_in_the_same_way() -> None:
    plan = plan_gram(
        scheme="ckks",
        rows=70,
        left=3,
        right=5,
        precision=2.0**-18,
        statistical_bits=30,
        releases=4,
    )
    encryptor, evaluator, decryptor = parties(plan)
    random = np.random.default_rng(5)
    a, b = unit_columns(random, plan.inner, plan.left), unit_columns(random, plan.inner, plan.right)
    product = evaluator.gram(
        encryptor.encrypt(encryptor.encode(plan, LEFT, a)),
        encryptor.encrypt(encryptor.encode(plan, RIGHT, b)),
    )
    opened = decryptor.decrypt_blinded(evaluator.blind(product, seed()))
    values = flooded(opened, secrets.token_bytes).unblind(seed())
    assert np.abs(values - a.T @ b).max() <= plan.error_bound + 9 * plan.flooding
    # The gate was asked for scores only.
    with pytest.raises(ReleaseRefused, match="another operation"):
        GATE.blinded(opened)


def unmasked(words: np.ndarray, plan: ProductPlan) -> np.ndarray:
    """Decode residues as if there were no mask: what a key holder would try."""
    digits = recombine(words.astype(np.int64), plan.primes)
    return digits_to_float(digits, plan.primes, plan.scale)


def leading(words: np.ndarray, plan: ProductPlan) -> np.ndarray:
    """Leading balanced digit of the integers: uniform exactly if they are, up to 2^-23."""
    return recombine(words.astype(np.int64), plan.primes)[-1]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("content", [0, 3])
def test_what_the_key_holder_decrypts_is_uniform(scheme: str, content: int) -> None:
    plan = score_plan(scheme=scheme)
    _, evaluator, decryptor = parties(plan)
    product, _ = scored(plan, content)
    words = decryptor.decrypt_blinded(
        evaluator.blind(product, MaskSeed.draw(secrets.token_bytes))
    ).words
    for index, prime in enumerate(plan.primes):
        assert p_uniform(words[:, :, index], prime) > 1e-6
    assert p_uniform(leading(words, plan) % plan.primes[-1], plan.primes[-1]) > 1e-6
    # Positive control: without the mask the same residues are a small integer.
    bare = without_mask(decryptor, product, plan)
    assert p_uniform(leading(bare, plan) % plan.primes[-1], plan.primes[-1]) < 1e-100
    assert np.abs(unmasked(bare, plan)).max() < 4
    assert np.abs(unmasked(words, plan)).max() > 4 * np.abs(unmasked(bare, plan)).max()


def without_mask(decryptor: Any, product: Any, plan: ProductPlan) -> np.ndarray:
    """What the key holder would decrypt from a node that does not blind."""
    if isinstance(product, EncryptedProduct):
        bare = BlindedProduct(plan, product.constant, product.tail)
        return np.asarray(decryptor.decrypt_blinded(bare).words)
    _, evaluator, _ = parties(plan)
    opened = decryptor.decrypt_blinded(evaluator.blind(product, seed())).words
    return lifted(opened, plan, seed())


def lifted(words: np.ndarray, plan: ProductPlan, known: MaskSeed) -> np.ndarray:
    """Residues minus a mask."""
    primes = np.array(plan.primes)[:, np.newaxis]
    return (words.astype(np.int64) - mask(plan, known)) % primes


def test_two_results_look_alike_to_the_key_holder() -> None:
    """Zeros and real scores: no two-sample test tells the leading digits apart."""
    plan = score_plan()
    _, evaluator, decryptor = parties(plan)
    opened, bare = [], []
    for content in (0, 3):
        product, _ = scored(plan, content)
        blinded = evaluator.blind(product, MaskSeed.draw(secrets.token_bytes))
        opened.append(leading(decryptor.decrypt_blinded(blinded).words, plan).ravel())
        bare.append(unmasked(without_mask(decryptor, product, plan), plan).ravel())
    assert stats.ks_2samp(*opened).pvalue > 1e-6
    assert stats.ks_2samp(*bare).pvalue < 1e-100


def test_the_node_alone_has_what_it_had() -> None:
    """Ciphertext and seed together are the concealed result, which the node has anyway."""
    plan = score_plan()
    _, evaluator, _ = parties(plan)
    product, _ = scored(plan)
    blinded = evaluator.blind(product, seed())
    assert np.array_equal(lifted(blinded.constant, plan, seed()), product.constant)
    assert np.array_equal(blinded.tail, product.tail)
    assert not np.array_equal(blinded.constant, product.constant)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_only_the_seed_of_the_result_unblinds_it(scheme: str) -> None:
    plan = score_plan(scheme=scheme)
    _, evaluator, decryptor = parties(plan)
    product, expected = scored(plan)
    released = GATE.blinded(decryptor.decrypt_blinded(evaluator.blind(product, seed(1))))
    wrong = released.unblind(seed(2))
    assert np.abs(wrong).max() > 10 * np.abs(expected).max()
    assert abs(np.corrcoef(wrong.ravel(), expected.ravel())[0, 1]) < 5 / wrong.size**0.5
    right = released.unblind(seed(1))
    assert np.corrcoef(right.ravel(), expected.ravel())[0, 1] > 0.99


def test_a_seed_that_is_used_twice_gives_the_difference_away() -> None:
    """Why a seed is for one result: the attack that a second use would allow is alive."""
    plan = score_plan()
    _, evaluator, decryptor = parties(plan)
    opened, expected = [], []
    for content in (2, 3):
        product, exact = scored(plan, content)
        opened.append(decryptor.decrypt_blinded(evaluator.blind(product, seed())).words)
        expected.append(exact)
    primes = np.array(plan.primes)[:, np.newaxis]
    difference = (opened[0].astype(np.int64) - opened[1]) % primes
    tiles = unmasked(difference, plan)
    values = plan.packing.unpack_result(tiles, plan.left, plan.right)
    assert np.abs(values - (expected[0] - expected[1])).max() <= 2 * plan.error_bound


def test_the_mask_differs_by_seed_plan_and_prime() -> None:
    plan = score_plan()
    same = mask(plan, seed())
    assert np.array_equal(same, mask(plan, seed()))
    others = [mask(plan, seed(2)), mask(score_plan(releases=5), seed())]
    assert all(np.mean(same == other) < 1e-3 for other in others)
    assert np.mean(same[:, :, 0] == same[:, :, 1]) < 1e-3
    for index, prime in enumerate(plan.primes):
        assert same[:, :, index].max() < prime
        assert p_uniform(same[:, :, index], prime) > 1e-6


def test_the_flooding_of_residues_has_the_planned_deviation() -> None:
    plan = score_plan()
    _, evaluator, decryptor = parties(plan)
    product, _ = scored(plan)
    opened = decryptor.decrypt_blinded(evaluator.blind(product, seed()))
    exact = BlindedResult(plan, opened.words).unblind(seed())
    noise = np.concatenate([(GATE.blinded(opened).unblind(seed()) - exact) for _ in range(4)])
    # 14,400 samples: one standard error of the deviation is 0.6 %.
    assert abs(noise.std() / plan.flooding - 1) < 0.03
    assert abs(noise.mean()) < 5 * plan.flooding / noise.size**0.5
    assert stats.kstest(noise.ravel() / plan.flooding, "norm").pvalue > 1e-6
    # Fresh at every release, which the key holder therefore stores and never repeats.
    assert not np.array_equal(GATE.blinded(opened).words, GATE.blinded(opened).words)


@pytest.mark.parametrize("deviation", [3.0, 2.0**20, 2.0**46 * 1.7, 2.0**90 * 1.1])
def test_wide_integer_noise_is_normal_down_to_its_last_bit(deviation: float) -> None:
    primes = (*PARAMETERS.primes, 97 * 2**16 + 1)
    residues = sampling.gaussian_residues((3, 4000), deviation, primes, secrets.token_bytes)
    assert residues.shape == (3, len(primes), 4000)
    values = np.array(
        digits_to_integers(recombine(residues.astype(np.int64), primes), primes), dtype=object
    )
    if deviation < 2.0**80:
        scaled = np.array([float(value) for value in values]) / deviation
        assert abs(scaled.std() - 1) < 0.05
        assert abs(scaled.mean()) < 0.05 + 0.5 / deviation
        assert np.abs(scaled).max() < 9
    # A float64 of such a size would end in zeros.
    low = np.array([int(value) % 64 for value in values])
    if deviation > 1000:
        assert stats.chisquare(np.bincount(low, minlength=64)).pvalue > 1e-6
    else:
        assert len(np.unique(values)) > 10


def test_what_is_exact_cannot_leave_and_the_seed_is_not_printed() -> None:
    plan = score_plan(scheme="clear")
    _, evaluator, decryptor = parties(plan)
    product, _ = scored(plan)
    opened = decryptor.decrypt_blinded(evaluator.blind(product, seed()))
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="before its release"):
            leave(opened)
    assert repr(opened) == f"BlindedDecryption(score {plan.left} x {plan.right})"
    assert seed().data.hex() not in repr(seed())
    assert str(seed().data) not in repr(seed())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_strict_parsing_of_blinded_bytes(scheme: str) -> None:
    plan, other = score_plan(scheme=scheme), score_plan(scheme=scheme, releases=5)
    _, evaluator, decryptor = parties(plan)
    product, _ = scored(plan)
    blinded = evaluator.blind(product, seed())
    result = GATE.blinded(decryptor.decrypt_blinded(blinded))
    for kind, data in ((BlindedProduct, blinded.to_bytes()), (BlindedResult, result.to_bytes())):
        assert kind.from_bytes(plan, data).to_bytes() == data
        with pytest.raises(Mismatch, match="fingerprints"):
            kind.from_bytes(other, data)
        large = data[:40] + b"\xff\xff\xff" + data[43:]
        for bad in (b"", data[:-1], data + b"\0", b"X" + data[1:], large):
            with pytest.raises(MalformedMessage):
                kind.from_bytes(plan, bad)
    # One kind does not pass for the other, and neither for an unblinded product.
    with pytest.raises(MalformedMessage, match="another kind"):
        BlindedProduct.from_bytes(plan, product.to_bytes())
    with pytest.raises(MalformedMessage):
        BlindedResult.from_bytes(plan, blinded.to_bytes())
    with pytest.raises(MalformedMessage, match="seed"):
        MaskSeed(b"short")


def test_a_decryptor_refuses_the_other_scheme() -> None:
    clear, plan = score_plan(scheme="clear"), score_plan()
    product, _ = scored(clear)
    blinded = parties(clear)[1].blind(product, seed())
    with pytest.raises(Mismatch, match="another scheme"):
        parties(plan)[2].decrypt_blinded(blinded)
    encrypted = parties(plan)[1].blind(scored(plan)[0], seed())
    with pytest.raises(Mismatch, match="another scheme"):
        parties(clear)[2].decrypt_blinded(encrypted)


def test_a_plan_without_room_for_the_noise_is_refused() -> None:
    # As many scale bits as the plan itself allows, and more noise than fits beside the result.
    tight = score_plan(left_scale_bits=41, statistical_bits=44, releases=1 << 20)
    with pytest.raises(ParameterError, match="could exceed the modulus"):
        check_room(tight)
    check_room(score_plan())


@pytest.mark.parametrize("factors", [1, 32, 300])
@pytest.mark.parametrize("retailers", [1, 3, 20])
def test_every_plan_of_scores_has_room_for_the_noise(factors: int, retailers: int) -> None:
    for shoppers, items in ((1, 1), (500, 300), (3000, 20_000)):
        check_room(
            plan_score(
                scheme="ckks",
                factors=factors,
                shoppers=shoppers,
                items=items,
                retailers=retailers,
                operand_bound=1.0,
                precision=2.0**-12,
                statistical_bits=40,
                releases=4096,
            )
        )
