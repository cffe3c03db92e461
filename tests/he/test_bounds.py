"""Joint attacks on the bounds of sums and similarities: extreme values, weights and noise at once.

Operands are encrypted under the real key with the largest noise that the plan allows in every
coefficient, all of one sign, and go through the real evaluator and decryptor. Gram blocks and
scores are attacked in ``test_planner.py``.
"""

from __future__ import annotations

import secrets

import numpy as np
import pytest
from encryption import OWN, PARAMETERS, keys_for, python_integers, similarity_plan
from similarity_samples import decryptor, evaluator

from hecf.errors import ParameterError
from hecf.he import secret as secret_module
from hecf.he.matrices import EncryptedMatrix
from hecf.he.modular import Float, Words, centre
from hecf.he.ntt import inverse
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT, RIGHT
from hecf.he.scheme import scheme_by_name
from hecf.he.secret import SecretCipher
from hecf.he.similarity.encryptor import encrypted_rows
from hecf.he.similarity.plan import PUBLIC_KEY, SECRET_KEY, SimilarityPlan
from hecf.he.similarity.scores import similarity_matrix
from hecf.he.summation.plan import SumPlan
from hecf.he.summation.planner import plan_sum

WEIGHTS = [5, -3, 1]


def noisy(
    monkeypatch: pytest.MonkeyPatch, parameters: ParameterSet, messages: Float, noise: int
) -> Words:
    """Encrypt with the same noise in every coefficient."""
    with monkeypatch.context() as patched:
        patched.setattr(
            secret_module.sampling, "centred_binomial", lambda shape, _: np.full(shape, noise)
        )
        cipher = SecretCipher(keys_for(parameters)[0], secrets.token_bytes)
        return cipher.encrypt(messages, messages.shape[-2])


def sum_plan(values: int) -> SumPlan:
    return plan_sum(
        scheme="ckks",
        values=values,
        summands=len(WEIGHTS),
        value_bound=1.0,
        precision=2.0**-9,
        weight_bound=sum(map(abs, WEIGHTS)),
        parameters=PARAMETERS,
    )


def largest_sum(
    monkeypatch: pytest.MonkeyPatch, values: Float, noise_sign: int
) -> tuple[SumPlan, Float]:
    """Sum vectors of one magnitude so that neither values nor noise cancel."""
    plan = sum_plan(len(values))
    noise = PARAMETERS.fresh_noise_bound * noise_sign
    operands = []
    for weight in WEIGHTS:
        sign = 1 if weight > 0 else -1
        words = plan.encode(LEFT, sign * values)
        residues = [centre(words[0, :, i].copy(), p) for i, p in enumerate(plan.primes)]
        messages = inverse(plan.primes, np.stack(residues, axis=-2))
        encrypted = noisy(monkeypatch, PARAMETERS, messages, sign * noise)
        operands.append(EncryptedMatrix(plan, LEFT, encrypted[np.newaxis]))
    scheme = scheme_by_name("ckks")
    secret, public = keys_for(PARAMETERS)
    node = scheme.evaluator(PARAMETERS, public.to_bytes(), secrets.token_bytes)
    total = node.sum(operands, WEIGHTS)
    return plan, scheme.decryptor(secret).decrypt_sum(plan, total).unwrap()


def extremes(name: str) -> Float:
    """Vectors whose digits carry or borrow as far as they can."""
    values = np.ones(3 * PARAMETERS.ring_degree * 8)
    if name == "least":
        return -values
    if name == "mixed":
        values[np.random.default_rng(4).random(len(values)) < 0.5] = -1
    return values


@pytest.mark.parametrize("noise_sign", [1, -1])
@pytest.mark.parametrize("name", ["largest", "least", "mixed"])
def test_a_sum_is_exact_at_its_bounds(
    monkeypatch: pytest.MonkeyPatch, name: str, noise_sign: int
) -> None:
    values = extremes(name)
    plan, found = largest_sum(monkeypatch, values, noise_sign)
    assert np.array_equal(found, plan.weight_bound * values)
    # The attack reaches both bounds, and they are within a factor of two of what a digit holds.
    assert np.abs(found).max() == plan.sum_bound * 0.5**plan.fraction_bits
    assert 2 ** (plan.digit_bits - 1) <= 2 * plan.sum_bound
    assert 2 ** (plan.noise_bits - 1) <= 2 * plan.noise_bound


@pytest.mark.parametrize("bound", ["noise_bound", "sum_bound"])
def test_half_a_bound_is_too_little_for_the_same_sum(
    monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    whole = getattr(SumPlan, bound).fget
    monkeypatch.setattr(SumPlan, bound, property(lambda plan: whole(plan) // 2))
    values = extremes("mixed")
    plan, found = largest_sum(monkeypatch, values, 1)
    assert not np.array_equal(found, plan.weight_bound * values)


def largest_similarity(
    monkeypatch: pytest.MonkeyPatch, plan: SimilarityPlan, noise: int
) -> tuple[Float, Float]:
    """Multiply equal rows of equal entries, and return the result beside the exact one."""
    matrices = {side: np.full(plan.matrix_shape(side), plan.inner**-0.5) for side in (LEFT, RIGHT)}

    def zeros(count: int) -> Words:
        messages = np.zeros((count, plan.level, plan.parameters.ring_degree))
        return noisy(monkeypatch, plan.parameters, messages, noise)

    operands = [
        encrypted_rows(plan, side, plan.encode(side, matrix), zeros)
        for side, matrix in matrices.items()
    ]
    tiles = evaluator(plan).evaluate(*operands)
    found = similarity_matrix(plan, decryptor(plan.parameters).panels(plan, tiles))
    left, right = (python_integers(matrices[side], plan.scale_bits(side)) for side in (LEFT, RIGHT))
    return found, np.array((left @ right.T) / plan.scale, dtype=np.float64)


@pytest.mark.parametrize("kind", [SECRET_KEY, PUBLIC_KEY])
@pytest.mark.parametrize("inner", [64, 144])
def test_the_noise_bound_of_a_similarity_is_reached(
    monkeypatch: pytest.MonkeyPatch, kind: str, inner: int
) -> None:
    parameters = OWN if kind == SECRET_KEY else PARAMETERS
    plan = similarity_plan(
        inner=inner, left=7, right=5, parameters=parameters, encryption=kind, level=2
    )
    found, exact = largest_similarity(monkeypatch, plan, plan.fresh_noise_bound)
    reached = np.abs(found - exact) * plan.scale
    assert 0.85 * plan.noise_bound < reached.min()
    assert reached.max() <= plan.noise_bound
    # The other sign takes away what it can, and twice the noise breaks the bound.
    found, exact = largest_similarity(monkeypatch, plan, -plan.fresh_noise_bound)
    assert (np.abs(found - exact) * plan.scale).max() <= plan.noise_bound
    found, exact = largest_similarity(monkeypatch, plan, 2 * plan.fresh_noise_bound)
    assert (np.abs(found - exact) * plan.scale).min() > plan.noise_bound


def test_a_similarity_at_its_bounds_fills_the_modulus_without_wrapping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The largest scales that one prime allows; with more the result wraps."""
    sizes = {"inner": 16, "left": 3, "right": 3, "level": 1, "left_scale_bits": 11}
    plan = similarity_plan(**sizes, right_scale_bits=10)
    found, exact = largest_similarity(monkeypatch, plan, plan.fresh_noise_bound)
    assert np.abs(found - exact).max() <= plan.error_bound
    assert plan.result_bound > plan.modulus // 8
    with pytest.raises(ParameterError, match="could exceed the modulus"):
        similarity_plan(**sizes, right_scale_bits=11)
    monkeypatch.setattr(SimilarityPlan, "check_overflow", lambda plan: None)
    wide = similarity_plan(**sizes, right_scale_bits=12)
    assert wide.result_bound >= wide.modulus // 2
    found, exact = largest_similarity(monkeypatch, wide, wide.fresh_noise_bound)
    assert np.abs(found - exact).min() > 4 * wide.error_bound
