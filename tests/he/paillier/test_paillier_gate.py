"""Control C15: no ciphertext is computed with before the gate, and none goes out as it was."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from paillier_party import Party

from hecf.errors import MalformedMessage, Mismatch
from hecf.he.paillier.gate import admit
from hecf.he.paillier.matrices import PaillierMatrix, PaillierProduct
from hecf.he.paillier.phe_bridge import export_secret_key
from hecf.he.paillier.plan import plan_paillier_sum
from hecf.he.paillier.planner import plan_paillier_product
from hecf.he.plan import LEFT


def hostile(party: Party) -> dict[str, int]:
    """Ciphertexts that no honest party makes."""
    n, square = int(party.public.n), int(party.public.n_squared)
    p, q = (int(prime) for prime in party.secret.primes())
    honest = int(party.randomiser.take(1)[0])
    return {
        "zero": 0,
        "n": n,
        "7n": 7 * n,
        "n^2": square,
        "n^2 + c": square + honest,
        "-1": -1,
        "n^2 - 1": square - 1,
        "one": 1,
        "not blinded": 1 + 5 * n,
        "p": p,
        "q c": q * honest % square,
    }


def is_refused(use: Callable[..., object], *arguments: object) -> bool:
    try:
        use(*arguments)
    except MalformedMessage:
        return True
    return False


def test_hostile_ciphertexts_are_refused(small: Party, large: Party) -> None:
    for party in (small, large):
        honest = party.randomiser.take(3)
        assert admit(party.public, honest) == honest
        for name, ciphertext in hostile(party).items():
            for place in range(4):
                batch = [*honest[:place], ciphertext, *honest[place:]]
                assert is_refused(admit, party.public, batch), name


def test_every_way_in_passes_the_gate(small: Party) -> None:
    width = small.parameters.ciphertext_bytes
    summed = plan_paillier_sum(
        values=2, summands=1, value_bound=1.0, precision=0.5, parameters=small.parameters
    )
    product = plan_paillier_product("gram", inner=1, left=1, right=1, parameters=small.parameters)
    scored = plan_paillier_product(
        "score", inner=1, left=1, right=1, precision=0.1, parameters=small.parameters
    )
    key = small.public.fingerprint
    for name, ciphertext in hostile(small).items():
        if not 0 <= ciphertext < 1 << (8 * width):
            continue
        octets = ciphertext.to_bytes(width, "little")
        vector = PaillierMatrix(summed, key, octets)
        matrix = PaillierMatrix(product, key, octets)
        shoppers = PaillierMatrix(scored, key, octets)
        evaluator, decryptor = small.evaluator, small.decryptor
        assert is_refused(evaluator.sum, [vector]), name
        assert is_refused(evaluator.add, [matrix]), name
        assert is_refused(evaluator.gram, matrix, np.ones((1, 1))), name
        assert is_refused(evaluator.score, shoppers, np.ones((1, 1)), np.zeros(1)), name
        assert is_refused(decryptor.decrypt_sum, summed, vector), name
        assert is_refused(decryptor.decrypt, PaillierProduct(product, key, octets)), name


def factors_from(answer: int, n: int) -> set[int]:
    """Factor n with a decrypted multiple of n: the answer's inverse modulo n is p + q."""
    total = pow(answer, -1, n)
    root = math.isqrt(total * total - 4 * n)
    return {(total - root) // 2, (total + root) // 2}


def test_a_decrypted_multiple_of_n_gives_the_key_away_without_the_gate(small: Party) -> None:
    """The attack is alive: phe decrypts what the gate refuses, and its answer factors n."""
    n = small.public.modulus
    private = export_secret_key(small.secret)
    plan = plan_paillier_sum(
        values=1, summands=1, value_bound=1.0, precision=0.5, parameters=small.parameters
    )
    for ciphertext in (0, n, 7 * n):
        primes = {int(prime) for prime in small.secret.primes()}
        assert factors_from(private.raw_decrypt(ciphertext), n) == primes
        octets = ciphertext.to_bytes(small.parameters.ciphertext_bytes, "little")
        with pytest.raises(MalformedMessage):
            small.decryptor.decrypt_sum(
                plan, PaillierMatrix(plan, small.public.fingerprint, octets)
            )


def test_two_sends_of_one_result_differ(small: Party) -> None:
    plan = plan_paillier_product("gram", inner=4, left=3, right=5, parameters=small.parameters)
    encoded = small.encryptor.encode(plan, LEFT, np.eye(4)[:, :3])
    batch = small.encryptor.encrypt(encoded)
    clear = np.zeros((4, 5))
    clear[[0, 1, 2, 3], [0, 1, 2, 3]] = 1
    sent = [small.evaluator.gram(batch, clear) for _ in range(2)]
    assert sent[0].octets != sent[1].octets
    results = [small.decryptor.decrypt(product).unwrap() for product in sent]
    assert np.array_equal(*results)
    summed = plan_paillier_sum(
        values=3, summands=1, value_bound=1.0, precision=0.5, parameters=small.parameters
    )
    vector = small.encryptor.encrypt(small.encryptor.encode(summed, LEFT, np.ones(3)))
    totals = [small.evaluator.sum([vector]).octets for _ in range(2)]
    assert len({vector.octets, *totals}) == 3
    # Without it the sum of one vector would be the vector, for everybody to see.
    assert small.encryptor.encrypt(small.encryptor.encode(summed, LEFT, np.ones(3))) != vector


class Unreadable:
    """A number of phe that shows whether anybody went on to its ciphertext."""

    def __init__(self, exponent: int) -> None:
        self.exponent = exponent

    @property
    def public_key(self) -> object:
        raise AssertionError("the arithmetic has begun")


def test_another_exponent_is_refused_before_any_arithmetic(large: Party) -> None:
    from hecf.he.paillier.phe_bridge import export_ciphertexts, import_ciphertexts

    plan = plan_paillier_sum(values=3, summands=1, value_bound=1.0, precision=2.0**-8)
    batch = large.encryptor.encrypt(large.encryptor.encode(plan, LEFT, np.zeros(3)))
    numbers = export_ciphertexts(large.public, batch)
    assert import_ciphertexts(large.public, plan, numbers) == batch
    # phe itself would multiply by 16 to the power of the difference, for days.
    with pytest.raises(Mismatch, match="exponent"):
        import_ciphertexts(large.public, plan, [Unreadable(10**9)])
    with pytest.raises(AssertionError, match="arithmetic"):
        import_ciphertexts(large.public, plan, [Unreadable(0)])
