"""``hecf audit attack``: attacks on the parameters of a kit or of a coalition to be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from coalitions import make_terms
from typer.testing import CliRunner

import parties
from hecf.errors import ConfigurationError
from hecf.privacy.attacks import Outcome
from hecf.protocol.terms import Terms
from parties import attacking
from parties.cli import app

DEMONSTRATION = Path(str(parties.__file__)).parent / "complete-journey.toml"
PRIVATE = {"epsilon": 1.0, "delta": 1e-6, "clip": 2.0, "noise_multiplier": 4.2}


def terms(**changes: object) -> Terms:
    return make_terms(scheme="ckks", factors=8, shoppers=2000, **changes)


def outcome(name: str, agreed: Terms) -> Outcome:
    [found] = attacking.mount(agreed, [name], lambda step: None)
    assert found.alive
    return found


@pytest.mark.parametrize("topology", ["coalition-key", "coalition-key-blinded", "own-key"])
def test_what_protects_the_key_the_model_and_the_uploads_holds(topology: str) -> None:
    for name in ("key-recovery", "model-recovery", "concealment", "dictionary"):
        assert not outcome(name, terms(topology=topology)).succeeded


def test_noise_for_differential_privacy_is_what_stops_differencing() -> None:
    for name in ("differencing", "membership"):
        assert outcome(name, terms()).succeeded
    assert not outcome("differencing", terms(**PRIVATE)).succeeded
    # A multiplier of 4.2 over three blocks leaves one block an area of about 0.61 at most.
    assert outcome("membership", terms(**PRIVATE)).protected < 0.75


def test_the_topology_decides_what_a_recipient_reconstructs_from() -> None:
    rows = outcome("reconstruction", terms(topology="coalition-key-blinded"))
    best = outcome("reconstruction", terms(topology="coalition-key"))
    assert rows.succeeded
    assert best.protected < rows.protected
    assert "best 5 items" in best.protection


def test_lists_of_similar_items_tell_new_purchases_unless_privacy_forbids_them() -> None:
    wide = outcome("temporal", terms(top_k=20))
    assert wide.succeeded
    assert "20 of 100 items" in wide.protection
    few = outcome("temporal", terms(top_k=1))
    assert few.protected < wide.protected
    for changes in (PRIVATE, {"minimum_rows": 101}):
        forbidden = outcome("temporal", terms(top_k=20, **changes))
        assert forbidden.protected == 0.0
        assert forbidden.protection.startswith("no such lists: ")


def test_a_coalition_under_paillier_is_attacked_at_its_key_and_its_pseudonyms() -> None:
    agreed = make_terms(scheme="paillier")
    assert attacking.applicable(agreed) == ("dictionary", "factoring")
    found = outcome("factoring", agreed)
    assert found.unprotected == 1.0
    assert found.protected == 0.0
    assert attacking.applicable(make_terms(scheme="paillier", directory="0" * 64)) == ("factoring",)
    with pytest.raises(ConfigurationError, match=r"no occasion.*key-recovery under scheme paill"):
        attacking.mount(agreed, ["key-recovery"], lambda step: None)
    assert "factoring" not in attacking.applicable(terms())


def test_under_own_keys_the_owner_s_model_follows_from_the_answers() -> None:
    own = terms(topology="own-key")
    assert outcome("extraction", own).succeeded
    with pytest.raises(ConfigurationError, match=r"no occasion.*reconstruction"):
        attacking.mount(own, ["reconstruction"], lambda step: None)
    with pytest.raises(ConfigurationError, match=r"no occasion.*extraction"):
        attacking.mount(terms(), ["extraction"], lambda step: None)


def test_the_command_prints_what_succeeded_and_writes_it(tmp_path: Path) -> None:
    target = tmp_path / "outcomes.json"
    arguments = ["audit", "attack", "dictionary", "differencing", "--config", str(DEMONSTRATION)]
    done = CliRunner().invoke(app, [*arguments, "--json", str(target)])
    assert done.exit_code == 0
    assert "differencing succeeds" in done.output.replace("\n", " ")
    found = {row["attack"]: row["succeeded"] for row in json.loads(target.read_text())}
    assert found == {"dictionary": False, "differencing": True}


def test_a_kit_is_attacked_under_its_own_terms(tmp_path: Path) -> None:
    agreed = terms(topology="coalition-key")
    (tmp_path / "terms.json").write_text(agreed.to_json())
    files = ["certificate", "private_key", "authority", "state", "output"]
    files += ["storage_key", "ledger_witness"]
    lines = ["[party]", 'role = "key-holder"', 'name = "key-holder"', "[files]"]
    lines += ['terms = "terms.json"', 'allowed = "allowed.txt"']
    lines += [f'{name} = "{name}"' for name in files]
    lines += ["[compute_node]", 'address = "a:1"', "[key_holder]", 'address = "a:2"']
    path = tmp_path / "party.toml"
    path.write_text("\n".join(lines))
    assert attacking.terms_of(path) == agreed


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown attack: got guessing, expected key-rec"):
        attacking.mount(terms(), ["guessing"], lambda step: None)
    clear = tmp_path / "coalition.toml"
    clear.write_text(DEMONSTRATION.read_text().replace('"ckks"', '"clear"'))
    with pytest.raises(ConfigurationError, match="the attacks are on coalitions that encrypt"):
        attacking.terms_of(clear)
    apart = tmp_path / "apart.toml"
    text = re.sub(r"factors = .*|\[evaluation\][^[]*", "", DEMONSTRATION.read_text())
    apart.write_text(re.sub(r"(?<=\[members\]\n).*", "most_shoppers = 150", text))
    with pytest.raises(ConfigurationError, match="common shoppers: got different shoppers"):
        attacking.terms_of(apart)
    done = CliRunner().invoke(app, ["audit", "attack", "--config", str(tmp_path / "none.toml")])
    assert done.exit_code == 1


def test_an_attack_that_is_not_alive_is_said_to_prove_nothing() -> None:
    dead = Outcome("x", "somebody", "share", 0.5, 0.1, 0.0, "noise")
    assert "says nothing" in attacking.verdict(dead)
