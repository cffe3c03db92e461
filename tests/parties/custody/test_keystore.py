"""The key holder's secret at rest: sealed, bound to its coalition, and never in clear (C11)."""

from __future__ import annotations

import hashlib
import secrets
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from coalitions import make_terms

from hecf.errors import ConfigurationError, LimitExceeded
from hecf.he.paillier.keys import PaillierSecretKey
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.scheme import scheme_by_name
from hecf.protocol.tasks import GramTask, gram_plan
from hecf.protocol.terms import Terms
from parties.custody.keystore import KEY_PAIR, PASSPHRASE, KeyStore

TERMS = make_terms(scheme="ckks")
WINDOW = 32


def store_in(folder: Path, terms: Terms = TERMS) -> KeyStore:
    """A key store with the storage key beside its folder."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    storage_key = folder / "storage.key"
    if not storage_key.exists():
        storage_key.touch(mode=0o600)
        storage_key.write_bytes(secrets.token_bytes(32))
    return KeyStore(state, storage_key, terms)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keystore")
    store_in(folder).load_or_generate()
    return folder


@pytest.fixture
def folder(generated: Path, tmp_path: Path) -> Path:
    """A copy of a generated key store that a test may spoil."""
    (tmp_path / "state").mkdir(mode=0o700)
    for path in (generated / "storage.key", *(generated / "state").iterdir()):
        copy = tmp_path / path.relative_to(generated)
        copy.touch(mode=0o600)
        copy.write_bytes(path.read_bytes())
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "state").iterdir()}


def test_the_pair_is_made_once_and_belongs_together(folder: Path) -> None:
    before = contents(folder)
    public = store_in(folder).load_or_generate()
    assert contents(folder) == before
    scheme = scheme_by_name("ckks")
    plan = GramTask(TERMS).plan
    matrix = np.eye(TERMS.shoppers, TERMS.factors)
    encryptor = scheme.encryptor(plan.parameters, public)
    operands = [
        encryptor.encrypt(encryptor.encode(plan, side, matrix)) for side in ("left", "right")
    ]
    product = scheme.evaluator(plan.parameters, public, secrets.token_bytes).gram(*operands)
    decrypted = scheme.decryptor(store_in(folder).secret()).decrypt(product)
    np.testing.assert_allclose(decrypted.unwrap(), np.eye(TERMS.factors), atol=plan.error_bound)


def test_a_paillier_key_is_kept_alike(tmp_path: Path) -> None:
    terms = make_terms(scheme="paillier")
    public = store_in(tmp_path, terms).load_or_generate()
    secret = store_in(tmp_path, terms).secret()
    assert isinstance(secret, PaillierSecretKey)
    assert secret.public_key.to_bytes() == public
    assert secret.public_key.parameters == PaillierParameters()
    content = contents(tmp_path)[KEY_PAIR]
    for prime in secret.primes():
        for order in ("little", "big"):
            assert int(prime).to_bytes(192, order)[:WINDOW] not in content
    does_not_open(store_in(tmp_path, TERMS))


def test_two_stores_have_two_keys(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert store_in(other).load_or_generate() != store_in(folder).load_or_generate()
    assert store_in(other).secret().expose() != store_in(folder).secret().expose()


def test_every_file_is_its_owners_only(folder: Path) -> None:
    names = {path.name for path in (folder / "state").iterdir()}
    assert names == {"key-pair"}
    fresh = folder / "fresh"
    fresh.mkdir()
    store_in(fresh).load_or_generate()
    for path in (fresh / "state").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_the_secret_lies_nowhere_in_clear(folder: Path) -> None:
    secret = store_in(folder).secret().expose()
    windows = [secret[i : i + WINDOW] for i in range(64, len(secret) - WINDOW, 211)]
    assert len(windows) > 100
    for name, content in contents(folder).items():
        assert not any(window in content for window in windows), name
    # The control: the same look at a file in clear finds every window.
    (folder / "state" / "leak").write_bytes(b"before" + secret + b"after")
    assert all(window in contents(folder)["leak"] for window in windows)


def test_a_secret_is_sealed_differently_each_time(tmp_path: Path) -> None:
    sealed = []
    for _ in range(2):
        store_in(tmp_path).load_or_generate()
        sealed.append((tmp_path / "state" / "key-pair").read_bytes())
        (tmp_path / "state" / "key-pair").unlink()
    assert sealed[0][:8] == sealed[1][:8] == b"HECFKEY2"
    assert sealed[0][-100:] != sealed[1][-100:]


def does_not_open(store: KeyStore) -> None:
    for read in (store.secret, store.load_or_generate):
        with pytest.raises(ConfigurationError, match="key-pair does not open: got a changed"):
            read()


def test_another_storage_key_does_not_open_it(folder: Path) -> None:
    (folder / "storage.key").write_bytes(secrets.token_bytes(32))
    does_not_open(store_in(folder))


@pytest.mark.parametrize("position", [0, 8, 12, 16, 60, 1000, 5000, -17, -1])
def test_a_changed_file_does_not_open(folder: Path, position: int) -> None:
    path = folder / "state" / "key-pair"
    changed = bytearray(path.read_bytes())
    changed[position] ^= 1
    path.write_bytes(changed)
    does_not_open(store_in(folder))


@pytest.mark.parametrize("length", [0, 7, 8, 20, 35, 400, 5000, -1])
def test_a_cut_file_does_not_open(folder: Path, length: int) -> None:
    path = folder / "state" / "key-pair"
    path.write_bytes(path.read_bytes()[:length])
    does_not_open(store_in(folder))


@pytest.mark.parametrize(
    "change", [{"identifier": "ab" * 16}, {"releases": 512}, {"minimum_shoppers": 2}]
)
def test_the_key_of_other_terms_does_not_open(folder: Path, change: dict[str, object]) -> None:
    does_not_open(store_in(folder, make_terms(scheme="ckks", **change)))


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_storage_key_of_another_length_is_refused(folder: Path, size: int) -> None:
    (folder / "storage.key").write_bytes(b"k" * size)
    with pytest.raises(ConfigurationError, match=f"is no storage key: got {size} bytes"):
        store_in(folder)


@pytest.mark.parametrize("name", ["storage.key", "state/key-pair"])
def test_a_file_that_others_may_read_is_refused(folder: Path, name: str) -> None:
    (folder / name).chmod(0o640)
    with pytest.raises(ConfigurationError, match="open to others on this machine: got mode 0640"):
        store_in(folder).load_or_generate()


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def dated(folder: Path, now: datetime) -> KeyStore:
    return KeyStore(folder / "state", folder / "storage.key", TERMS, lambda: now)


def test_a_key_expires(folder: Path) -> None:
    (folder / "state" / "key-pair").unlink()
    epoch = dated(folder, NOW).generate(days=10)
    assert (epoch.number, epoch.created) == (1, "2026-03-01T12:00:00+00:00")
    dated(folder, NOW + timedelta(days=9)).load_or_generate()
    late = dated(folder, NOW + timedelta(days=10))
    with pytest.raises(LimitExceeded, match="secret key has expired: got 2026-03-11"):
        late.load_or_generate()
    # It still opens, and the file says nothing else than before.
    assert late.secret().expose() == dated(folder, NOW).secret().expose()
    assert late.epoch == epoch


def test_a_key_can_be_expired_by_hand(folder: Path) -> None:
    store = store_in(folder)
    secret = store.secret().expose()
    ended = store.expire()
    assert store_in(folder).epoch == ended
    assert store_in(folder).secret().expose() == secret
    with pytest.raises(LimitExceeded, match="has expired"):
        store_in(folder).load_or_generate()


def test_an_edited_expiry_is_noticed(folder: Path) -> None:
    path = folder / "state" / "key-pair"
    expires = store_in(folder).epoch.expires.encode()
    later = str(int(expires[:4]) + 1).encode() + expires[4:]
    path.write_bytes(path.read_bytes().replace(expires, later))
    assert store_in(folder).epoch.expires.encode() == later
    does_not_open(store_in(folder))


def test_a_rotation_replaces_the_key_and_remembers_its_epoch(folder: Path) -> None:
    store = store_in(folder)
    first, secret, public = store.epoch, store.secret().expose(), store.load_or_generate()
    second = store.rotate(days=30)
    assert store_in(folder).epochs == (first, second)
    assert (second.number, second.fingerprint != first.fingerprint) == (2, True)
    assert second.fingerprint == hashlib.sha256(b"\2\0\0\0" + store.load_or_generate()).hexdigest()
    assert store.load_or_generate() != public
    assert store.secret().expose() != secret
    assert {path.name for path in (folder / "state").iterdir()} == {"key-pair"}
    with pytest.raises(ConfigurationError, match="holds a key"):
        store.generate()


def test_a_rotation_of_nothing_and_a_bad_validity_are_refused(folder: Path) -> None:
    for days in (0, -1, 3651):
        with pytest.raises(ConfigurationError, match="validity is out of range"):
            store_in(folder).rotate(days=days)
    (folder / "state" / "key-pair").unlink()
    for act in (store_in(folder).rotate, store_in(folder).expire, store_in(folder).secret):
        with pytest.raises(ConfigurationError, match="key-pair cannot be read"):
            act()


def test_a_passphrase_is_needed_beside_the_storage_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_in(folder).rotate(passphrase="correct horse")
    monkeypatch.delenv(PASSPHRASE, raising=False)
    with pytest.raises(ConfigurationError, match="needs its passphrase: got none, expected it in"):
        store_in(folder).load_or_generate()
    monkeypatch.setenv(PASSPHRASE, "wrong horse")
    does_not_open(store_in(folder))
    monkeypatch.setenv(PASSPHRASE, "correct horse")
    secret = store_in(folder).secret().expose()
    (folder / "storage.key").write_bytes(secrets.token_bytes(32))
    does_not_open(store_in(folder))
    assert b"correct horse" not in contents(folder)["key-pair"]
    assert secret[64:96] not in contents(folder)["key-pair"]
    with pytest.raises(ConfigurationError, match="passphrase is too short"):
        store_in(folder).rotate(passphrase="short")
    # Taking the passphrase away by editing the record does not help.
    path = folder / "state" / "key-pair"
    path.write_bytes(path.read_bytes().replace(b'"passphrase": true', b'"passphrase": null'))
    does_not_open(store_in(folder))


def test_a_crash_before_the_file_is_written_starts_over(folder: Path) -> None:
    before = store_in(folder).load_or_generate()
    (folder / "state" / "key-pair").unlink()
    assert store_in(folder).load_or_generate() != before
    assert store_in(folder).secret().parameters == gram_plan(TERMS).parameters
