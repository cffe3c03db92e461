"""Encryptions of zero from worker processes: right, fresh, and never trusted blindly."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from encryption import gram_plan, unit_columns
from processes import alive, descendants, make_coalition, until

from hecf.errors import ConfigurationError, InternalFailure, MalformedMessage
from hecf.he.ckks import CkksEncryptor, generate_keys
from hecf.he.keys import SecretKey
from hecf.he.matrices import PublicKey
from hecf.he.messages import pack_words
from hecf.he.plan import LEFT
from hecf.he.secret import SecretCipher
from hecf.kits.kit import Kit
from parties.processes.encryption_pool import EncryptionPool
from parties.processes.retailer import _encryptor
from parties.system.worker import Job, Worker, WorkerLimits

LIMITS = WorkerLimits(memory_bytes=4 << 30, job_seconds=60.0, answer_bytes=1 << 28)
PLAN = gram_plan()
LEVEL = PLAN.level


@pytest.fixture(scope="module")
def keys() -> tuple[SecretKey, PublicKey]:
    return generate_keys(PLAN.parameters)


@pytest.fixture(scope="module")
def pool(keys: tuple[SecretKey, PublicKey]) -> Iterator[EncryptionPool]:
    made = EncryptionPool(keys[1], 2, LIMITS)
    made.start()
    yield made
    made.close()


def noise(secret: SecretKey, words: np.ndarray) -> np.ndarray:
    return SecretCipher(secret, secrets.token_bytes).decrypt(words)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_the_workers_draw_are_fresh_encryptions_of_zero(keys, pool, count):
    words = pool.draw(count, LEVEL)
    assert words.shape == (count, 2, LEVEL, PLAN.parameters.ring_degree)
    found = noise(keys[0], words)
    assert np.abs(found).max() <= PLAN.parameters.fresh_noise_bound
    assert len({part.tobytes() for part in words}) == count
    # Negative control: under another key they are anything but small.
    stranger = generate_keys(PLAN.parameters)[0]
    assert np.abs(noise(stranger, words)).max() > 1000 * PLAN.parameters.fresh_noise_bound


def test_an_encryptor_adds_its_message_to_them(keys, pool):
    matrix = unit_columns(np.random.default_rng(0), PLAN.inner, PLAN.left)
    made = [
        (encryptor, encryptor.encode(PLAN, LEFT, matrix))
        for encryptor in (CkksEncryptor(keys[1], pool), CkksEncryptor(keys[1]))
    ]
    plain = [noise(keys[0], encryptor.encrypt(encoded).words) for encryptor, encoded in made]
    assert np.abs(plain[0] - plain[1]).max() <= 2 * PLAN.parameters.fresh_noise_bound


def test_the_death_of_a_worker_costs_one_job(pool, monkeypatch):
    pool.draw(2, LEVEL)
    process = pool._workers[0]._process
    assert process is not None
    assert process.pid is not None
    with monkeypatch.context() as patched:
        # The worker dies after the pool has looked whether it lives.
        patched.setattr(type(process), "is_alive", lambda _: True)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        with pytest.raises(InternalFailure):
            pool.draw(2, LEVEL)
    assert len(pool.draw(2, LEVEL)) == 2


def test_an_answer_of_another_length_or_range_is_refused(keys, monkeypatch):
    pool = EncryptionPool(keys[1], 1, LIMITS)
    shape = (1, 2, LEVEL, PLAN.parameters.ring_degree)
    for words, error in (
        (np.zeros(10, dtype=np.uint32), InternalFailure),
        (np.full(shape, PLAN.primes[0], dtype=np.uint32), MalformedMessage),
    ):
        monkeypatch.setattr(Worker, "run", lambda _, job, words=words: Job({}, pack_words(words)))
        with pytest.raises(error):
            pool.draw(1, LEVEL)
    pool.close()


def test_a_pool_needs_a_process(keys):
    with pytest.raises(ConfigurationError):
        EncryptionPool(keys[1], 0, LIMITS)


def test_a_retailer_encrypts_in_as_many_processes_as_its_kit_says(keys, tmp_path):
    coalition = make_coalition(tmp_path / "coalition", scheme="ckks")
    path = coalition.party(coalition.terms.retailers[0])
    with ExitStack() as pools:
        assert _encryptor(Kit.load(path), pools) is None
    text = path.read_text()
    assert "encryption_processes = 1" in text
    path.write_text(text.replace("encryption_processes = 1", "encryption_processes = 2"))
    before = descendants(os.getpid())
    with ExitStack() as pools:
        make = _encryptor(Kit.load(path), pools)
        assert make is not None
        encryptor = make(PLAN.parameters, keys[1].to_bytes())
        started = descendants(os.getpid()) - before
        assert len(started) >= 2
        matrix = unit_columns(np.random.default_rng(0), PLAN.inner, PLAN.left)
        encrypted = encryptor.encrypt(encryptor.encode(PLAN, LEFT, matrix))
        assert encrypted.words.shape == PLAN.operand_shape(LEFT)
    until(lambda: not any(alive(process) for process in started), "the workers to end")
