"""The gate for ciphertexts from elsewhere (control C15): nothing is computed with them before it.

Decrypting a number that shares a factor with n and releasing the plaintext hands out that factor;
``phe`` and most other implementations do not look.
"""

from __future__ import annotations

from hecf.errors import MalformedMessage
from hecf.he.paillier.arithmetic import from_octets, gmpy2, mpz
from hecf.he.paillier.keys import PublicKey


def admit(public_key: PublicKey, ciphertexts: list[mpz]) -> list[mpz]:
    """Check ciphertexts and return them.

    Parameters
    ----------
    public_key : PublicKey
    ciphertexts : list of mpz

    Raises
    ------
    MalformedMessage
        If one is not between 0 and n^2, shares a factor with n, or is 1 or -1 modulo n, which is
        a plaintext that nothing hides.

    Notes
    -----
    One greatest common divisor covers the batch: n shares a factor with the product of the
    remainders exactly if it shares one with a ciphertext. The message does not say with which.
    """
    n, limit = public_key.n, public_key.n_squared
    product = mpz(1)
    for ciphertext in ciphertexts:
        if not 0 < ciphertext < limit:
            raise MalformedMessage("a Paillier ciphertext is out of range")
        remainder = ciphertext % n
        if remainder in (1, n - 1):
            raise MalformedMessage("a Paillier ciphertext hides nothing")
        product = product * remainder % n
    if gmpy2.gcd(product, n) != 1:
        raise MalformedMessage("a Paillier ciphertext is no unit")
    return ciphertexts


def admit_octets(public_key: PublicKey, data: bytes) -> list[mpz]:
    """Read ciphertexts of fixed width and check them; errors as for :func:`admit`."""
    return admit(public_key, from_octets(data, public_key.parameters.ciphertext_bytes))
