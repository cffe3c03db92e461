"""Blinded release under Paillier: uniform to the key holder, exact to whoever has the mask."""

from __future__ import annotations

import copy
import pickle
import secrets
from dataclasses import replace

import numpy as np
import pytest
from paillier_party import Party
from scipy.stats import chisquare

from hecf.errors import MalformedMessage, Mismatch, ReleaseRefused
from hecf.he.blinding import MaskSeed
from hecf.he.paillier.arithmetic import from_octets
from hecf.he.paillier.blinding import BlindedIntegers, MaskedIntegers, PaillierBlinded
from hecf.he.paillier.masks import masks
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.plan import PaillierSumPlan, plan_paillier_sum
from hecf.he.paillier.planner import plan_paillier_product
from hecf.he.paillier.product_plan import SCORE, PaillierProductPlan
from hecf.he.plan import LEFT
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate

POLICY = ReleasePolicy(minimum_shoppers=2, top_k=5, minimum_contributors=3, blinded=True)
GATE = ReleaseGate(POLICY, secrets.token_bytes)
BINS = 16


def sum_plan(party: Party, values: int = 60, summands: int = 3) -> PaillierSumPlan:
    return plan_paillier_sum(
        values=values,
        summands=summands,
        value_bound=100.0,
        precision=2.0**-12,
        parameters=party.parameters,
    )


def vectors(plan: PaillierSumPlan, seed: int = 0) -> np.ndarray:
    units = np.random.default_rng(seed).integers(-200_000, 200_001, (plan.summands, plan.values))
    return units / 2**plan.fraction_bits


def encrypted_sum(party: Party, plan: PaillierSumPlan, content: np.ndarray):
    encode, encrypt = party.encryptor.encode, party.encryptor.encrypt
    return party.evaluator.sum([encrypt(encode(plan, LEFT, each)) for each in content])


def decrypted(party: Party, plan, result, seed: MaskSeed) -> MaskedIntegers:
    travelled = PaillierBlinded.from_bytes(plan, party.evaluator.blind(result, seed).to_bytes())
    return party.decryptor.decrypt_blinded(travelled)


def integers(masked: MaskedIntegers | BlindedIntegers) -> list[int]:
    return [
        int(value) for value in from_octets(masked.octets, masked.plan.parameters.modulus_bytes)
    ]


@pytest.mark.parametrize("party", ["small", "large"])
def test_a_recipient_reads_the_exact_sum(party: str, request: pytest.FixtureRequest) -> None:
    who: Party = request.getfixturevalue(party)
    plan = sum_plan(who)
    content, seed = vectors(plan), MaskSeed.draw(secrets.token_bytes)
    released = GATE.blinded_total(decrypted(who, plan, encrypted_sum(who, plan, content), seed), 3)
    arrived = BlindedIntegers.from_bytes(plan, released.to_bytes())
    public = who.public.to_bytes()
    np.testing.assert_array_equal(arrived.unblind(seed, public), content.sum(axis=0))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_of_either_sign_survive_a_mask(small: Party, sign: int) -> None:
    plan = sum_plan(small)
    content, seed = np.full((3, plan.values), sign * plan.value_bound), MaskSeed(bytes(32))
    masked = decrypted(small, plan, encrypted_sum(small, plan, content), seed)
    got = GATE.blinded_total(masked, 3).unblind(seed, small.public.to_bytes())
    np.testing.assert_array_equal(got, content.sum(axis=0))


def test_a_product_is_read_as_without_a_mask(small: Party) -> None:
    plan = product_plan(small)
    shoppers = np.random.default_rng(1).uniform(-1, 1, (plan.inner, plan.left))
    items = np.random.default_rng(2).uniform(-0.2, 0.2, (plan.inner, plan.right))
    operand = small.encryptor.encrypt(small.encryptor.encode(plan, LEFT, shoppers))
    product = small.evaluator.score(operand, items, np.zeros(plan.right))
    seed = MaskSeed.draw(secrets.token_bytes)
    released = GATE.blinded(decrypted(small, plan, product, seed))
    got = released.unblind(seed, small.public.to_bytes())
    np.testing.assert_array_equal(got, small.decryptor.decrypt(product).unwrap())
    np.testing.assert_allclose(got, shoppers.T @ items, atol=plan.error_bound)
    with pytest.raises(Mismatch, match="only results are blinded"):
        small.evaluator.blind(operand, seed)
    with pytest.raises(Mismatch, match="not masked"):
        small.decryptor.decrypt_blinded(product)


def product_plan(party: Party) -> PaillierProductPlan:
    return plan_paillier_product(
        SCORE,
        inner=3,
        left=7,
        right=4,
        precision=2.0**-10,
        parameters=party.parameters,
    )


def test_what_the_key_holder_decrypts_is_uniform_whatever_is_inside(small: Party) -> None:
    # One number, and many masks of it: without a mask all would be the same integer.
    plan = sum_plan(small, values=1)
    total = encrypted_sum(small, plan, np.ones((3, 1)))
    n = int(small.public.n)
    residues = []
    for _ in range(800):
        seed = MaskSeed.draw(secrets.token_bytes)
        residues += integers(decrypted(small, plan, total, seed))
    high = np.bincount([value * BINS // n for value in residues], minlength=BINS)
    low = np.bincount([value % BINS for value in residues], minlength=BINS)
    assert chisquare(high).pvalue > 1e-6
    assert chisquare(low).pvalue > 1e-6
    bare = [int(value) for value in small.decryptor.plaintexts(total)] * 800
    assert chisquare(np.bincount([v * BINS // n for v in bare], minlength=BINS)).pvalue < 1e-6


def test_a_mask_is_uniform_and_of_one_plan_key_and_seed(small: Party) -> None:
    plan, seed = sum_plan(small, values=20_000), MaskSeed(bytes(range(32)))
    drawn = [int(mask) for mask in masks(small.public, plan, seed, plan.ciphertexts)]
    assert len(drawn) > 500
    counts = np.bincount([value * BINS // int(small.public.n) for value in drawn], minlength=BINS)
    assert chisquare(counts).pvalue > 1e-6
    assert len(set(drawn)) == len(drawn)
    again = masks(small.public, plan, seed, 3)
    assert [int(mask) for mask in again] == drawn[:3]
    other = sum_plan(small, values=19_999)
    for changed in (
        masks(small.public, other, seed, 3),
        masks(small.public, plan, MaskSeed(bytes(32)), 3),
    ):
        assert not set(map(int, changed)) & set(drawn)


def test_two_masked_ciphertexts_of_one_sum_share_nothing(small: Party) -> None:
    plan = sum_plan(small)
    total, seed = encrypted_sum(small, plan, vectors(plan)), MaskSeed(bytes(32))
    first, second = (small.evaluator.blind(total, seed).octets for _ in range(2))
    assert first != second


def test_another_mask_or_key_reads_nothing(small: Party) -> None:
    plan = sum_plan(small)
    seed = MaskSeed.draw(secrets.token_bytes)
    masked = decrypted(small, plan, encrypted_sum(small, plan, vectors(plan)), seed)
    released = GATE.blinded_total(masked, 3)
    # The slots leave room in every plaintext, so a wrong mask hardly ever fits all of them.
    assert plan.ciphertexts * (511 - plan.packing.slots * plan.packing.slot_bits) > 20
    with pytest.raises(MalformedMessage, match="exceeds its slots"):
        released.unblind(MaskSeed.draw(secrets.token_bytes), small.public.to_bytes())
    stranger = Party.draw(PaillierParameters.insecure_for_tests(512))
    with pytest.raises(Mismatch, match="another key"):
        released.unblind(seed, stranger.public.to_bytes())
    with pytest.raises(Mismatch, match="another key"):
        stranger.decryptor.decrypt_blinded(
            PaillierBlinded(
                plan, small.public.fingerprint, b"\1" * plan.parameters.ciphertext_bytes
            )
        )


def test_integers_that_are_none_modulo_n_are_refused(small: Party) -> None:
    plan = sum_plan(small)
    width, count = plan.parameters.modulus_bytes, plan.ciphertexts
    full = BlindedIntegers(plan, small.public.fingerprint, b"\xff" * width * count)
    with pytest.raises(MalformedMessage, match="below the modulus"):
        full.unblind(MaskSeed(bytes(32)), small.public.to_bytes())
    for octets in (b"", full.octets[:-1], full.octets + b"\0"):
        with pytest.raises(MalformedMessage, match="another length"):
            replace(full, octets=octets)
    data = full.to_bytes()
    for changed in (data[:-1], data + b"\0", b"X" + data[1:]):
        with pytest.raises(MalformedMessage):
            BlindedIntegers.from_bytes(plan, changed)
    with pytest.raises(Mismatch):
        BlindedIntegers.from_bytes(sum_plan(small, values=59), data)


def test_hostile_ciphertexts_do_not_pass_the_gate_of_the_scheme(small: Party) -> None:
    plan = sum_plan(small, values=1)
    width, n = plan.parameters.ciphertext_bytes, int(small.public.n)
    for hostile in (0, n, 7 * n, n * n, n * n + 1):
        octets = hostile.to_bytes(width + 1, "little")[:width]
        batch = PaillierBlinded(plan, small.public.fingerprint, octets)
        with pytest.raises(MalformedMessage):
            small.decryptor.decrypt_blinded(batch)


def test_masked_integers_pass_the_gate_under_a_policy_that_agrees_on_them_only(
    small: Party,
) -> None:
    plan, seed = sum_plan(small), MaskSeed(bytes(32))
    masked = decrypted(small, plan, encrypted_sum(small, plan, vectors(plan)), seed)
    with pytest.raises(ReleaseRefused, match="too few contributors: got 2"):
        GATE.blinded_total(masked, 2)
    readable = ReleaseGate(replace(POLICY, blinded=False), secrets.token_bytes)
    with pytest.raises(ReleaseRefused, match="no blinded results"):
        readable.blinded_total(masked, 3)
    with pytest.raises(ReleaseRefused, match="number of its contributors"):
        GATE.blinded(masked)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(masked)
    assert str(masked.octets[:4]) not in f"{masked!r}"
