"""Control C30: every loyalty id there is, tried against everything the compute node stores."""

from __future__ import annotations

import hashlib
from pathlib import Path

from coalitions import Coalition, columns, embeddings, make_terms, operand, run_retailers

from hecf.data import MemberDirectory, PseudonymKey
from hecf.he.plan import LEFT
from hecf.privacy.attacks.dictionary import experiment, found
from hecf.protocol.tasks import GramTask

IDS = [f"{number:08d}" for number in range(150)]


def test_unkeyed_hashes_are_found_and_pseudonyms_are_not() -> None:
    outcome = experiment(IDS, [b"coalition"])
    assert outcome.unprotected == 1.0
    assert outcome.protected == 0.0


def test_public_salts_and_hexadecimal_do_not_help_an_unkeyed_hash() -> None:
    salted = [hashlib.sha1(b"salt" + member.encode()).hexdigest().encode() for member in IDS]
    assert found(salted, IDS, [b"salt"]) == 1.0
    assert found(salted, IDS, [b"other"]) == 0.0
    assert found(salted[:15], IDS, [b"salt"]) == 0.1
    assert found([], IDS) == 0.0
    assert found(salted, []) == 0.0


def test_whoever_holds_the_key_finds_everybody() -> None:
    """Positive control of the search itself, and why only retailers may hold the key."""
    key = PseudonymKey.generate()
    stored = MemberDirectory.from_members(key, IDS).to_text().encode()
    assert found([stored], IDS, [key.to_bytes()]) == 1.0
    assert found([stored], IDS, [b"coalition"]) == 0.0


def test_the_same_member_of_two_coalitions_is_unlinkable() -> None:
    first, second = PseudonymKey.generate(), PseudonymKey.generate()
    both = [{key.pseudonym(member) for member in IDS} for key in (first, second)]
    assert not both[0] & both[1]
    assert len({*both[0], *both[1]}) == 2 * len(IDS)


def test_nothing_that_the_compute_node_stores_matches_a_dictionary(tmp_path: Path) -> None:
    terms = make_terms()
    coalition = Coalition(terms, tmp_path)
    try:
        rows = dict.fromkeys(terms.retailers, (1, 5, 9))
        run_retailers(coalition, embeddings(terms), rows)
    finally:
        coalition.close()
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(map(len, stored)) > 1000
    public = [terms.identifier.encode(), bytes.fromhex(terms.identifier), terms.directory.encode()]
    assert found(stored, IDS, public) == 0.0
    # Positive control: one unkeyed hash in one of the files would be found.
    planted = [*stored, b"x" + hashlib.sha256(IDS[3].encode()).digest() + b"y"]
    assert found(planted, IDS, public) == 1 / len(IDS)


def test_uploads_name_nobody(tmp_path: Path) -> None:
    terms = make_terms(scheme="ckks")
    coalition = Coalition(terms, tmp_path)
    upload = operand(coalition, GramTask(terms), LEFT, columns(terms, 1))
    coalition.close()
    assert found([upload], IDS, [bytes.fromhex(terms.identifier)]) == 0.0
