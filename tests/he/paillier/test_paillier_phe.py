"""``phe`` is the oracle: it makes and opens the same ciphertexts, bit for bit."""

from __future__ import annotations

import secrets
import subprocess
import sys

import numpy as np
import pytest
from paillier_party import Party
from phe import paillier

from hecf.errors import MalformedMessage, Mismatch, ParameterError
from hecf.he.paillier.arithmetic import from_octets, gmpy2
from hecf.he.paillier.encryptor import PaillierEncryptor
from hecf.he.paillier.parameters import CLASSIC, HALF
from hecf.he.paillier.phe_bridge import (
    export_ciphertexts,
    export_public_key,
    export_secret_key,
    import_ciphertexts,
    import_public_key,
    import_secret_key,
)
from hecf.he.paillier.plan import plan_paillier_sum
from hecf.he.paillier.randomness import FixedBaseTable, Randomiser, unit_base
from hecf.he.plan import LEFT


class Recorded:
    """A source of randomness that remembers what it gave."""

    def __init__(self) -> None:
        self.given: list[bytes] = []

    def __call__(self, count: int) -> bytes:
        self.given.append(secrets.token_bytes(count))
        return self.given[-1]


def exponent_of(octets: bytes) -> int:
    """Read 171 digits of 9 bits, each of which stands for 256 less."""
    drawn = int.from_bytes(octets, "little") % 2 ** (9 * 171)
    return drawn - sum(256 << (9 * place) for place in range(171))


def test_phe_makes_the_same_ciphertexts_bit_for_bit(large: Party) -> None:
    source = Recorded()
    encryptor = PaillierEncryptor(
        large.public, Randomiser(large.public, source, large.randomiser.table)
    )
    plan = plan_paillier_sum(values=200, summands=2, value_bound=1.0, precision=2.0**-20)
    vector = np.random.default_rng(0).uniform(-1, 1, 200)
    encoded = encryptor.encode(plan, LEFT, vector)
    batch = encryptor.encrypt(encoded)
    key, n = export_public_key(large.public), large.public.modulus
    theirs = [
        key.raw_encrypt(
            int(plaintext % n),
            r_value=int(pow(int(unit_base(large.public)), exponent_of(octets), n)),
        )
        for plaintext, octets in zip(encoded.plaintexts, source.given, strict=True)
    ]
    assert theirs == [int(c) for c in from_octets(batch.octets, 768)]


def test_phe_opens_what_was_encrypted_and_added_here(large: Party) -> None:
    plan = plan_paillier_sum(values=200, summands=2, value_bound=1.0, precision=2.0**-20)
    vectors = np.random.default_rng(1).uniform(-1, 1, (2, 200))
    encode = large.encryptor.encode
    uploads = [large.encryptor.encrypt(encode(plan, LEFT, vector)) for vector in vectors]
    total = large.evaluator.sum(uploads)
    private = export_secret_key(large.secret)
    opened = [
        private.raw_decrypt(n.ciphertext(False)) for n in export_ciphertexts(large.public, total)
    ]
    expected = [
        int((a + b) % large.public.n)
        for a, b in zip(*(encode(plan, LEFT, vector).plaintexts for vector in vectors), strict=True)
    ]
    assert opened == expected == [int(m) for m in large.decryptor.plaintexts(total)]


def test_numbers_that_phe_encrypted_and_added_are_opened_here(small: Party) -> None:
    key = export_public_key(small.public)
    plan = plan_paillier_sum(
        values=30, summands=1, value_bound=9.0, precision=0.5, parameters=small.parameters
    )
    vector = np.arange(30) % 19 - 9.0
    encoded = small.encryptor.encode(plan, LEFT, vector)
    numbers = [
        paillier.EncryptedNumber(key, key.raw_encrypt(int(m % small.public.n)), 0)
        + paillier.EncryptedNumber(key, key.raw_encrypt(0), 0)
        for m in encoded.plaintexts
    ]
    batch = import_ciphertexts(small.public, plan, numbers)
    assert np.array_equal(small.decryptor.decrypt_sum(plan, batch).unwrap(), vector)


def test_keys_of_phe_are_taken_over_and_handed_back(small: Party) -> None:
    found = set()
    while found != {HALF, CLASSIC}:
        public, private = paillier.generate_paillier_keypair(n_length=512)
        secret = import_secret_key(private, insecure_for_tests=True)
        found.add(secret.public_key.parameters.randomness)
        assert import_public_key(public, insecure_for_tests=True).modulus == public.n
        assert export_public_key(secret.public_key) == public
        assert export_secret_key(secret) == private
        party = Party.of(secret)
        plan = plan_paillier_sum(
            values=40, summands=1, value_bound=1.0, precision=0.01, parameters=party.parameters
        )
        batch = party.encryptor.encrypt(party.encryptor.encode(plan, LEFT, np.ones(40)))
        total = party.evaluator.sum([batch])
        assert np.array_equal(party.decryptor.decrypt_sum(plan, total).unwrap(), np.ones(40))


def test_short_keys_of_phe_are_refused() -> None:
    public, private = paillier.generate_paillier_keypair(n_length=1024)
    with pytest.raises(ParameterError, match="another size"):
        import_public_key(public)
    with pytest.raises(ParameterError, match="another size"):
        import_secret_key(private)


def test_numbers_that_do_not_belong_are_refused(small: Party) -> None:
    plan = plan_paillier_sum(
        values=3, summands=1, value_bound=1.0, precision=0.5, parameters=small.parameters
    )
    key = export_public_key(small.public)
    other, _ = paillier.generate_paillier_keypair(n_length=512)
    open_number = paillier.EncryptedNumber(key, key.raw_encrypt(5, r_value=1), 0)
    with pytest.raises(MalformedMessage, match="hides nothing"):
        import_ciphertexts(small.public, plan, [open_number])
    with pytest.raises(MalformedMessage, match="out of range"):
        import_ciphertexts(small.public, plan, [paillier.EncryptedNumber(key, -1, 0)])
    with pytest.raises(Mismatch, match="another key"):
        import_ciphertexts(small.public, plan, [other.encrypt(1)])
    with pytest.raises(Mismatch, match="number of ciphertexts"):
        import_ciphertexts(small.public, plan, [])


def test_the_table_computes_powers(small: Party) -> None:
    table, public = small.randomiser.table, small.public
    n = public.modulus
    base = pow(int(unit_base(public)), n, n * n)
    places = len(table.rows)
    for digits in (
        [256] * places,
        [257] + [256] * (places - 1),
        [0] * places,
        [511] * places,
        [secrets.randbelow(512) for _ in range(places)],
    ):
        exponent = sum((digit - 256) << (9 * place) for place, digit in enumerate(digits))
        numerator, denominator = (int(part) for part in table.power(digits))
        assert numerator == pow(base, exponent, n * n) * denominator % (n * n)
    assert gmpy2.jacobi(unit_base(public), public.n) == 1
    again = FixedBaseTable.from_bytes(public, table.to_bytes())
    assert again.rows == table.rows
    assert places * 257 * 128 < table.memory_bytes < 4 * places * 257 * 128
    changed = bytearray(table.to_bytes())
    changed[-1] ^= 1
    with pytest.raises(MalformedMessage, match="changed"):
        FixedBaseTable.from_bytes(public, bytes(changed))


def test_a_node_computes_without_phe() -> None:
    program = (
        "import sys; from hecf.he.scheme import scheme_by_name; "
        "import hecf.he.paillier.evaluator, hecf.he.paillier.pool, hecf.he.paillier.encryptor; "
        "scheme_by_name('paillier'); "
        "sys.exit(any(m.split('.')[0] in ('phe', 'tenseal') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
