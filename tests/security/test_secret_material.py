"""Secret keys that are sent to the node are refused by name, kept nowhere and not logged (C07)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tenseal
from coalitions import GrpcCoalition, columns, make_terms, operand
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from encryption import SMALLEST, keys_for
from samples import messages

from hecf.errors import HecfError, InvalidInput
from hecf.he.paillier.keys import generate_keys
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.storage import seal
from hecf.he.plan import LEFT
from hecf.protocol.tasks import GramTask
from hecf.rpc.identity import KEY_HOLDER
from hecf.rpc.secret_material import refuse_secret_material
from parties.custody.keystore import KeyStore

phe = pytest.importorskip("phe", reason="python-paillier writes one of the formats")


def private_keys(folder: Path) -> dict[str, bytes]:
    """Secret keys in every format that is around, each written by its own library."""
    found: dict[str, bytes] = {"SEAL": keys_for(SMALLEST)[0].expose()}
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 60])
    found["TenSEAL"] = context.serialize(save_secret_key=True)[:100_000]
    (folder / "storage.key").touch(mode=0o600)
    (folder / "storage.key").write_bytes(secrets.token_bytes(32))
    (folder / "state").mkdir(mode=0o700)
    KeyStore(folder / "state", folder / "storage.key", make_terms(scheme="ckks")).load_or_generate()
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    [found["hecf at rest"]] = [data for data in files if data.startswith(b"HECFKEY")]
    secret, _ = generate_keys(PaillierParameters.insecure_for_tests(512), secrets.token_bytes)
    found["Paillier at rest"] = seal(secret, secrets.token_bytes(32), secrets.token_bytes)
    _, private = phe.generate_paillier_keypair(n_length=512)
    found["phe"] = (
        f'{{"kty": "DAJ", "key_ops": ["decrypt"], "p": "{private.p}", "q": "{private.q}"}}'.encode()
    )
    for name, key in (
        ("EC", ec.generate_private_key(ec.SECP256R1())),
        ("RSA", rsa.generate_private_key(65537, 2048)),
    ):
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
            found[f"{name} {encoding}"] = key.private_bytes(
                encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
    return found


@pytest.fixture
def coalition(tmp_path: Path) -> Iterator[GrpcCoalition]:
    running = GrpcCoalition(make_terms(), tmp_path / "coalition")
    yield running
    running.close()


def test_every_format_is_refused_by_name_kept_nowhere_and_not_logged(
    coalition: GrpcCoalition, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys").mkdir()
    task = GramTask(coalition.terms)
    for name, data in private_keys(tmp_path / "keys").items():
        for upload in (
            lambda data=data: coalition.node("alder").contribute(task, LEFT, data),
            lambda data=data: coalition.node(KEY_HOLDER).publish_key(coalition.terms, data),
        ):
            with pytest.raises(InvalidInput, match="looks like a secret key") as got:
                upload()
            assert coalition.stored() == 0, name
            captured = capfd.readouterr()
            everything = (str(got.value) + captured.out + captured.err).encode()
            for start in range(20, len(data) - 16, 97):
                window = data[start : start + 16]
                assert window not in everything
                assert window.hex().encode() not in everything


def test_what_a_node_must_accept_is_no_secret_key(coalition: GrpcCoalition) -> None:
    for message in messages().values():
        refuse_secret_material(message.data)
    for seed in range(20):
        generator = np.random.default_rng(seed)
        refuse_secret_material(b"HECF" + generator.bytes(5000))
    task = GramTask(coalition.terms)
    data = operand(coalition, task, LEFT, columns(coalition.terms, 1))
    coalition.node("alder").contribute(task, LEFT, data)
    assert coalition.stored() == 1


def test_bytes_of_no_known_format_are_refused_by_the_strict_parser(
    coalition: GrpcCoalition,
) -> None:
    task = GramTask(coalition.terms)
    with pytest.raises(HecfError):
        coalition.node("alder").contribute(task, LEFT, secrets.token_bytes(5000))
    assert coalition.stored() == 0
