"""A Paillier key from one decryption of zero modulo n.

Decryption by the Chinese remainder theorem (Paillier, EUROCRYPT 1999, section 7) does not
notice a ciphertext that is no unit: of 0, n or any multiple of n it returns ``m`` with
``m q = 1 mod p`` and ``m p = 1 mod q``. So ``m (p + q) = 1 mod n``, and whoever is given m knows
the sum of the factors as well as their product.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from hecf.errors import MalformedMessage
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.plan import plan_paillier_sum
from hecf.he.sampling import RandomBytes
from hecf.privacy.attacks.outcome import Outcome


def unguarded_decrypt(ciphertext: int, p: int, q: int) -> int:
    """Decrypt by the Chinese remainder theorem without looking at the ciphertext first.

    Security
    --------
    The decryption of textbooks, which this module attacks. It is no part of any protocol.
    """
    n = p * q
    parts = []
    for prime in (p, q):
        square = prime * prime
        scale = pow((pow(n + 1, prime - 1, square) - 1) // prime, -1, prime)
        parts.append((pow(ciphertext, prime - 1, square) - 1) // prime * scale % prime)
    return (parts[0] + p * ((parts[1] - parts[0]) * pow(p, -1, q) % q)) % n


def factor(modulus: int, plaintext: int) -> tuple[int, int] | None:
    """Factor n with the decryption of one of its multiples, or return None.

    Parameters
    ----------
    modulus : int
        n, which is public.
    plaintext : int
        What the holder of the key released.
    """
    if math.gcd(plaintext, modulus) != 1:
        return None
    total = pow(plaintext, -1, modulus)
    discriminant = total * total - 4 * modulus
    if discriminant < 0 or math.isqrt(discriminant) ** 2 != discriminant:
        return None
    p = (total - math.isqrt(discriminant)) // 2
    return (p, modulus // p) if p > 1 and modulus % p == 0 else None


def experiment(p: int, q: int, guarded: Callable[[int], int | None], protection: str) -> Outcome:
    """Ask for decryptions of multiples of n, without and with a check before.

    Parameters
    ----------
    p, q : int
        A key's factors.
    guarded : callable
        Decrypts as a key holder does; None if it refuses.
    protection : str
        What `guarded` checks.
    """
    n = p * q
    hostile = (0, n, 7 * n, n * n)
    bare = [factor(n, unguarded_decrypt(ciphertext, p, q)) for ciphertext in hostile]
    answers = [guarded(ciphertext) for ciphertext in hostile]
    given = [answer if answer is None else factor(n, answer) for answer in answers]
    return Outcome(
        attack="factoring",
        attacker="anybody who may send a ciphertext and receives its decryption",
        measure="share of the hostile ciphertexts that factor the key",
        threshold=1 / len(hostile),
        unprotected=sum(found is not None for found in bare) / len(hostile),
        protected=sum(found is not None for found in given) / len(hostile),
        protection=protection,
    )


def experiment_on_decryptor(parameters: PaillierParameters, random: RandomBytes) -> Outcome:
    """Ask the library's own decryptor, under a fresh key of a coalition's parameters.

    Parameters
    ----------
    parameters : PaillierParameters
    random : callable
        Source of cryptographically secure bytes.
    """
    from hecf.he.paillier.decryptor import PaillierDecryptor
    from hecf.he.paillier.keys import generate_keys
    from hecf.he.paillier.matrices import PaillierMatrix

    secret, _ = generate_keys(parameters, random)
    plan = plan_paillier_sum(
        values=1, summands=1, value_bound=1.0, precision=0.5, parameters=parameters
    )
    decryptor, fingerprint = PaillierDecryptor(secret), secret.public_key.fingerprint

    def guarded(ciphertext: int) -> int | None:
        octets = ciphertext.to_bytes(parameters.ciphertext_bytes, "little")
        try:
            [plaintext] = decryptor.plaintexts(PaillierMatrix(plan, fingerprint, octets))
        except MalformedMessage:
            return None
        return int(plaintext)

    p, q = map(int, secret.primes())
    return experiment(p, q, guarded, "only units modulo n^2 are decrypted")
