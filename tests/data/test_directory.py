from __future__ import annotations

import copy
import hashlib
import pickle
import unicodedata

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from hecf.data.directory import MemberDirectory, PseudonymKey
from hecf.errors import ConfigurationError, InvalidInput

SECRET = bytes(range(32))
KEY = PseudonymKey.from_bytes(SECRET)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_pseudonym_is_hmac_of_the_normalised_id(text) -> None:
    normalised = unicodedata.normalize("NFC", text).strip()
    if not normalised:
        with pytest.raises(InvalidInput, match="empty"):
            KEY.pseudonym(text)
        return
    oracle = HMAC(SECRET, hashes.SHA256())
    oracle.update(normalised.encode("utf-8"))
    assert KEY.pseudonym(text) == oracle.finalize()


def test_spellings_of_one_id_agree_and_other_ids_differ() -> None:
    assert KEY.pseudonym(" caf\u00e9\t") == KEY.pseudonym("cafe\u0301")
    assert KEY.pseudonym("0012") != KEY.pseudonym("12")
    assert KEY.pseudonym("12") != hashlib.sha256(b"12").digest()


def test_two_coalitions_cannot_be_linked() -> None:
    ids = [str(number) for number in range(500)]
    first = MemberDirectory.from_members(PseudonymKey.generate(), ids)
    second = MemberDirectory.from_members(PseudonymKey.generate(), ids)
    assert not set(first.pseudonyms) & set(second.pseudonyms)
    again = MemberDirectory.from_members(KEY, ids)
    assert set(again.pseudonyms) == set(MemberDirectory.from_members(KEY, ids[::-1]).pseudonyms)


def test_dictionary_attack_needs_the_key() -> None:
    ids = [str(number) for number in range(300)]
    stored = set(MemberDirectory.from_members(KEY, ids).pseudonyms)
    guesses = [str(number) for number in range(1000)]
    unkeyed = {hashlib.sha256(guess.encode()).digest() for guess in guesses}
    other = {PseudonymKey.generate().pseudonym(guess) for guess in guesses}
    keyed = {KEY.pseudonym(guess) for guess in guesses}
    assert not stored & (unkeyed | other)
    # The same attack with the key finds everybody, so the comparison above is alive.
    assert stored <= keyed


@pytest.mark.parametrize("wrong", ["", "  \n", "\ud800", 12, None])
def test_pseudonym_refuses_what_is_no_id(wrong) -> None:
    with pytest.raises(InvalidInput):
        KEY.pseudonym(wrong)


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33), "x" * 32, bytearray(32)])
def test_key_refuses_other_secrets(wrong) -> None:
    with pytest.raises(InvalidInput):
        PseudonymKey.from_bytes(wrong)


def test_key_shows_and_leaks_nothing() -> None:
    assert PseudonymKey.from_bytes(KEY.to_bytes()) == KEY
    assert hash(PseudonymKey.from_bytes(SECRET)) == hash(KEY)
    assert PseudonymKey.generate() != PseudonymKey.generate()
    assert KEY != SECRET
    assert repr(KEY) == f"PseudonymKey(fingerprint={KEY.fingerprint})"
    assert len(KEY.fingerprint) == 8
    assert KEY.fingerprint != hashlib.sha256(SECRET).hexdigest()[:8]
    assert SECRET.hex()[:8] not in repr(KEY)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(KEY, protocol)
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            duplicate(KEY)


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=60))
def test_directory_positions_and_text_round_trip(numbers) -> None:
    ids = [str(number) for number in numbers]
    directory = MemberDirectory.from_members(KEY, ids)
    expected = sorted(KEY.pseudonym(member) for member in ids)
    assert list(directory.pseudonyms) == expected
    assert len(directory) == len(ids)
    for member in ids:
        assert directory.position(KEY.pseudonym(member)) == expected.index(KEY.pseudonym(member))
    assert directory.position(KEY.pseudonym("stranger")) is None
    assert directory.position(bytes([255]) * 32) is None
    digest = hashlib.sha256(len(ids).to_bytes(8, "big") + b"".join(expected)).hexdigest()
    assert directory.fingerprint == digest
    assert MemberDirectory.from_text(directory.to_text()) == directory
    assert repr(directory) == f"MemberDirectory({len(ids)} members, fingerprint={digest[:8]})"


def test_text_has_the_agreed_form() -> None:
    directory = MemberDirectory((bytes(32), bytes([1]) * 32))
    assert directory.to_text().split("\n") == [
        f"hecf-directory 1 2 {directory.fingerprint}",
        "00" * 32,
        "01" * 32,
        "",
    ]


@pytest.mark.parametrize(
    "pseudonyms",
    [
        (),
        (bytes(31),),
        ("0" * 32,),
        (bytes(32), bytes(32)),
        (bytes([1]) * 32, bytes(32)),
    ],
)
def test_directory_validates_itself(pseudonyms) -> None:
    with pytest.raises(InvalidInput) as caught:
        MemberDirectory(pseudonyms)
    assert "got" in str(caught.value)


def test_members_must_be_different() -> None:
    with pytest.raises(InvalidInput, match="got 2 doubled of 4") as caught:
        MemberDirectory.from_members(KEY, ["ann", "bob", " ann", "bob"])
    assert "ann" not in str(caught.value)
    with pytest.raises(InvalidInput, match="one text"):
        MemberDirectory.from_members(KEY, "ann")
    with pytest.raises(InvalidInput, match="empty"):
        MemberDirectory.from_members(KEY, ["ann", ""])


GOOD = MemberDirectory.from_members(KEY, ["ann", "bob", "eve"])
LINES = GOOD.to_text().split("\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no valid first line"),
        ("\ufeff" + GOOD.to_text(), "no valid first line"),
        (GOOD.to_text().replace("\n", "\r\n"), "no valid first line"),
        (GOOD.to_text().replace("directory 1", "directory 2"), "another format version: got 2"),
        (GOOD.to_text().replace("directory 1 3", "directory 1 03"), "no valid first line"),
        (GOOD.to_text().replace("directory 1 3", "directory 1 4"), "got 3 members, expected 4"),
        (GOOD.to_text()[:-1], "cut off"),
        (GOOD.to_text()[:-10], "cut off"),
        (LINES[0], "cut off"),
        (GOOD.to_text() + "\n", "got 4 members, expected 3"),
        ("\n".join([LINES[0], LINES[1], LINES[2].upper(), LINES[3], ""]), "line 3 .* no pseudonym"),
        ("\n".join([LINES[0], LINES[1], LINES[2] + " ", LINES[3], ""]), "line 3 .* no pseudonym"),
        ("\n".join([LINES[0], LINES[2], LINES[1], LINES[3], ""]), "not sorted and different"),
        ("\n".join([LINES[0], LINES[1], LINES[1], LINES[3], ""]), "not sorted and different"),
        ("\n".join([LINES[0], LINES[1], LINES[2], "f" * 64, ""]), "changed after it was written"),
    ],
)
def test_other_texts_are_refused(text, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        MemberDirectory.from_text(text)
