"""Factors from worker processes: each hides nothing but itself, and comes once."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from paillier_party import Party

from hecf.errors import InternalFailure, ParameterError
from hecf.he.paillier.arithmetic import to_octets
from hecf.he.paillier.encryptor import PaillierEncryptor
from hecf.he.paillier.matrices import PaillierMatrix
from hecf.he.paillier.plan import plan_paillier_sum
from hecf.he.paillier.pool import BlindingPool
from hecf.he.plan import LEFT


def test_workers_fill_a_pool_of_fresh_factors(small: Party) -> None:
    plan = plan_paillier_sum(
        values=70, summands=1, value_bound=1.0, precision=0.01, parameters=small.parameters
    )
    table = small.randomiser.table
    with BlindingPool(small.public, workers=1, capacity=100, table=table) as pool:
        factors = pool.take(150) + pool.take(40)
        assert len(set(factors)) == 190
        # Every factor is an encryption of zero under the key.
        batch = PaillierMatrix(plan, small.public.fingerprint, to_octets(factors, 128))
        assert not any(small.decryptor.plaintexts(batch))
        encryptor = PaillierEncryptor(small.public, pool)
        vector = np.linspace(-1, 1, 70)
        upload = encryptor.encrypt(encryptor.encode(plan, LEFT, vector))
        total = small.decryptor.decrypt_sum(plan, small.evaluator.sum([upload])).unwrap()
        assert np.abs(total - vector).max() <= plan.error_bound + 1e-12
        # A worker that dies is an error, never a pool that hands out less or waits for ever.
        for process in list(pool._executor._processes.values()):
            os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(InternalFailure, match="died"):
            pool.take(1000)
    with pytest.raises(InternalFailure, match=r"closed|died"):
        pool.take(1)


@pytest.mark.parametrize(("workers", "capacity"), [(0, 10), (1, 0)])
def test_a_pool_without_workers_or_room_is_refused(
    small: Party, workers: int, capacity: int
) -> None:
    with pytest.raises(ParameterError):
        BlindingPool(small.public, workers=workers, capacity=capacity)
