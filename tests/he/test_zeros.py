"""Encryptions of zero: SEAL decrypts them, and SEAL's own have the same noise."""

from __future__ import annotations

import math
import secrets

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from encryption import PARAMETERS, keys_for
from scipy import stats

from hecf.he import ntt
from hecf.he.keys import SecretKey
from hecf.he.matrices import PublicKey
from hecf.he.modular import Float, Words, centre
from hecf.he.parameters import ParameterSet
from hecf.he.sampling import expanded
from hecf.he.seal import SealContext, _saved
from hecf.he.secret import SecretCipher
from hecf.he.zeros import PublicZeros

COUNT = 6
DEVIATION = math.sqrt(21 / 2)
TERNARY_VARIANCE = 2 / 3


def noise_of(secret: SecretKey, words: Words) -> Float:
    """Coefficients that SEAL decrypts (count, N), if they are the same modulo every prime."""
    decryptor = SealContext(secret.parameters).decryptor(secret.expose())
    found = []
    for ciphertext in words:
        plain = decryptor.decrypt(ciphertext)
        primes = secret.parameters.primes[: len(plain)]
        centred = [centre(x, p) for x, p in zip(plain, primes, strict=True)]
        residues = ntt.inverse(primes, np.stack(centred))
        assert (residues == residues[0]).all()
        found.append(residues[0])
    return np.array(found)


def seals_own(level: int) -> tuple[SecretKey, PublicKey, Words]:
    """A key pair of SEAL, and SEAL's encryptions of zero under it."""
    context = SealContext(PARAMETERS)
    generator = sealapi.KeyGenerator(context._context)
    public = sealapi.PublicKey()
    generator.create_public_key(public)
    encryptor = sealapi.Encryptor(context._context, public)
    words = []
    for _ in range(COUNT):
        ciphertext = sealapi.Ciphertext()
        encryptor.encrypt_zero(context.level_identifier(level), ciphertext)
        words.append(context._ciphertext_words(_saved(ciphertext.save)))
    secret = SecretKey(PARAMETERS, _saved(generator.secret_key().save))
    key = PublicKey(PARAMETERS, context._ciphertext_words(_saved(public.save)))
    return secret, key, np.array(words, dtype=np.uint32)


@pytest.mark.parametrize("level", [3, 2, 1])
def test_the_noise_is_that_of_seals_own_encryptions(level: int) -> None:
    secret, public, words = seals_own(level)
    seal = noise_of(secret, words)
    zeros = PublicZeros(public, secrets.token_bytes)
    noise = noise_of(secret, zeros.draw(COUNT, level))
    assert np.abs(noise).max() <= PARAMETERS.fresh_noise_bound
    assert stats.ks_2samp(noise.ravel(), seal.ravel()).pvalue > 1e-6
    # The same test tells a distribution an eighth wider.
    assert stats.ks_2samp(np.rint(1.125 * noise).ravel(), seal.ravel()).pvalue < 1e-6
    # Undivided noise is far larger, and is what the node's bound allows.
    raw = noise_of(secret, zeros.draw_undivided(COUNT, level))
    products = 2 * PARAMETERS.ring_degree * TERNARY_VARIANCE + 1
    assert raw.std() == pytest.approx(DEVIATION * math.sqrt(products), rel=0.04)
    assert np.abs(raw).max() <= PARAMETERS.zero_noise_bound


def test_what_is_drawn_looks_uniform_and_is_never_the_same() -> None:
    _, public = keys_for(PARAMETERS)
    zeros = PublicZeros(public, secrets.token_bytes)
    words = zeros.draw(COUNT, 3)
    assert len(np.unique(words[:, 1, 0, :4], axis=0)) == COUNT
    for half in range(2):
        for index, prime in enumerate(PARAMETERS.primes):
            bins = words[:, half, index].ravel().astype(np.int64) * 64 // prime
            assert stats.chisquare(np.bincount(bins, minlength=64)).pvalue > 1e-6
    # The test sees a bias: residues that leave out a sixty-fourth.
    bins = words[:, 1, 0].ravel().astype(np.int64) * 63 // PARAMETERS.primes[0]
    assert stats.chisquare(np.bincount(bins, minlength=64)).pvalue < 1e-6


def test_words_follow_from_key_and_randomness() -> None:
    _, public = keys_for(PARAMETERS)
    first, again, other = (
        PublicZeros(public, expanded(bytes([seed]) * 32)).draw(2, 2) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_another_key_sees_no_small_noise() -> None:
    _, public = keys_for(PARAMETERS)
    words = PublicZeros(public, secrets.token_bytes).draw(1, 1)
    stranger, _ = SealContext(PARAMETERS).generate_keys()
    noise = noise_of(SecretKey(PARAMETERS, stranger), words)
    assert np.abs(noise).max() > 100 * PARAMETERS.fresh_noise_bound


def test_without_a_special_prime_nothing_is_divided() -> None:
    parameters = ParameterSet.with_data_primes(2048, 2, special=False)
    secret, public = keys_for(parameters)
    zeros = PublicZeros(public, secrets.token_bytes)
    # SEAL keeps the last prime for keys, so this is decrypted without it.
    noise = np.abs(SecretCipher(secret, secrets.token_bytes).decrypt(zeros.draw(2, 2))).max()
    assert 100 < noise <= parameters.fresh_noise_bound
    assert parameters.fresh_noise_bound == parameters.zero_noise_bound
