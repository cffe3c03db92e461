"""The key holder's secret at rest: sealed, bound to its coalition, and never in clear (C11)."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

import numpy as np
import pytest
from coalitions import make_terms

from hecf.errors import ConfigurationError
from hecf.he.scheme import scheme_by_name
from hecf.protocol.tasks import GramTask, gram_plan
from hecf.protocol.terms import Terms
from parties.keystore import KeyStore

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


def test_two_stores_have_two_keys(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert store_in(other).load_or_generate() != store_in(folder).load_or_generate()
    assert store_in(other).secret().expose() != store_in(folder).secret().expose()


def test_every_file_is_its_owners_only(folder: Path) -> None:
    names = {path.name for path in (folder / "state").iterdir()}
    assert names == {"secret-key", "public-key"}
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
        sealed.append((tmp_path / "state" / "secret-key").read_bytes())
        (tmp_path / "state" / "secret-key").unlink()
    assert sealed[0][:8] == sealed[1][:8] == b"HECFKEY1"
    assert sealed[0][8:20] != sealed[1][8:20]


def does_not_open(store: KeyStore) -> None:
    for read in (store.secret, store.load_or_generate):
        with pytest.raises(ConfigurationError, match="secret-key does not open: got a changed"):
            read()


def test_another_storage_key_does_not_open_it(folder: Path) -> None:
    (folder / "storage.key").write_bytes(secrets.token_bytes(32))
    does_not_open(store_in(folder))


@pytest.mark.parametrize("position", [0, 8, 19, 20, 1000, -17, -1])
def test_a_changed_file_does_not_open(folder: Path, position: int) -> None:
    path = folder / "state" / "secret-key"
    changed = bytearray(path.read_bytes())
    changed[position] ^= 1
    path.write_bytes(changed)
    does_not_open(store_in(folder))


@pytest.mark.parametrize("length", [0, 7, 8, 20, 35, 36, -1])
def test_a_cut_file_does_not_open(folder: Path, length: int) -> None:
    path = folder / "state" / "secret-key"
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


@pytest.mark.parametrize("name", ["storage.key", "state/secret-key", "state/public-key"])
def test_a_file_that_others_may_read_is_refused(folder: Path, name: str) -> None:
    (folder / name).chmod(0o640)
    with pytest.raises(ConfigurationError, match="open to others on this machine: got mode 0640"):
        store_in(folder).load_or_generate()


def test_a_crash_before_the_secret_is_written_starts_over(folder: Path) -> None:
    (folder / "state" / "secret-key").unlink()
    before = contents(folder)["public-key"]
    public = store_in(folder).load_or_generate()
    assert public != before
    assert store_in(folder).secret().parameters == gram_plan(TERMS).parameters
