"""Mount attacks on the parameters of a coalition, and say which of them succeed.

No data and no key of the coalition is touched: victims are made up here, of the coalition's sizes,
under keys that are drawn for the occasion.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from hecf.data.synthetic import SyntheticCoalition
from hecf.errors import ConfigurationError, InvalidInput, ReleaseRefused
from hecf.he.keys import Decrypted
from hecf.he.modular import Float
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.plan import SCHEME as PAILLIER
from hecf.he.product.plan import ProductPlan
from hecf.he.similarity.scores import Panel
from hecf.kits.configuration import PartyConfiguration
from hecf.kits.files import read_limited
from hecf.kits.tables import parse_toml
from hecf.privacy.attacks import Outcome
from hecf.privacy.attacks import concealment as concealment_attack
from hecf.privacy.attacks import dictionary as dictionary_attack
from hecf.privacy.attacks import differencing as differencing_attack
from hecf.privacy.attacks import extraction as extraction_attack
from hecf.privacy.attacks import factoring as factoring_attack
from hecf.privacy.attacks import isolation as isolation_attack
from hecf.privacy.attacks import key_recovery as key_recovery_attack
from hecf.privacy.attacks import membership as membership_attack
from hecf.privacy.attacks import model_recovery as model_recovery_attack
from hecf.privacy.attacks import reconstruction as reconstruction_attack
from hecf.privacy.attacks import temporal as temporal_attack
from hecf.privacy.release import ReleaseGate
from hecf.protocol.tasks import QueryTask, ScoreTask, SimilarityTask, gram_plan
from hecf.protocol.terms import BLINDED, COALITION_KEY, NO_DIRECTORY, OWN_KEY, Terms
from parties.provisioning.configuration import CoalitionConfiguration
from parties.provisioning.provision import member_ids

_LARGEST_FILE = 1 << 20
_SCORED = 100
_CATALOGUE = 200
_SHOPPERS = 1500
_FACTORS = 32
_IDS = tuple(f"{number:08d}" for number in range(500))


def terms_of(path: Path) -> Terms:
    """Read the terms of a kit's ``party.toml``, or make those that a ``coalition.toml`` leads to.

    Raises
    ------
    ConfigurationError
        If the file is neither, or of a coalition without encryption, or under CKKS with different
        shoppers.
    """
    if "party" in parse_toml(path):
        files = PartyConfiguration.load(path).files
        terms = Terms.from_json(read_limited(files.terms, _LARGEST_FILE).decode("utf-8", "replace"))
    else:
        configuration = CoalitionConfiguration.load(path)
        members = configuration.members
        shoppers = 0 if members.most_shoppers is not None else len(member_ids(members))
        terms = configuration.terms(secrets.token_hex(16), shoppers, "1" * 64)
    if terms.scheme == "clear":
        raise ConfigurationError(
            "the attacks are on coalitions that encrypt",
            got=terms.scheme,
            expected="ckks or paillier",
        )
    if not applicable(terms):
        raise ConfigurationError(
            "the attacks are on Gram blocks and scores of common shoppers",
            got="different shoppers",
            expected="a coalition with a member directory",
        )
    return terms


def mount(terms: Terms, names: Sequence[str], step: Callable[[str], None]) -> list[Outcome]:
    """Mount attacks by name, or all that a coalition gives occasion to if none is named.

    Raises
    ------
    ConfigurationError
        If there is no attack of a name, or no occasion for it.
    """
    for name in names:
        if name not in ATTACKS:
            raise ConfigurationError("unknown attack", got=name, expected=" or ".join(ATTACKS))
        if name not in applicable(terms):
            raise ConfigurationError(
                "the coalition gives no occasion for this attack",
                got=f"{name} under scheme {terms.scheme}, topology {terms.topology}",
                expected=" or ".join(applicable(terms)),
            )
    outcomes = []
    for name in names or applicable(terms):
        step(name)
        outcomes.append(ATTACKS[name](terms))
    return outcomes


def applicable(terms: Terms) -> tuple[str, ...]:
    """Return the attacks on what a coalition of these terms computes."""
    if terms.scheme == PAILLIER:
        return ("factoring",) if terms.directory == NO_DIRECTORY else ("dictionary", "factoring")
    if terms.directory == NO_DIRECTORY:
        return ()
    absent = {"factoring", "reconstruction" if terms.topology == OWN_KEY else "extraction"}
    return tuple(name for name in ATTACKS if name not in absent)


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print what every attack achieved, without the protection and with it."""
    table = Table("attack", "measure", "unprotected", "protected", "protection", "verdict")
    for outcome in outcomes:
        table.add_row(
            outcome.attack,
            outcome.measure,
            f"{outcome.unprotected:.3f}",
            f"{outcome.protected:.3f}",
            outcome.protection,
            verdict(outcome),
        )
    console.print(table)
    for outcome in outcomes:
        if outcome.succeeded:
            console.print(f"{outcome.attack} succeeds: the attacker is {outcome.attacker}")


def verdict(outcome: Outcome) -> str:
    """Say what the figures mean; an attack that never works says nothing."""
    if not outcome.alive:
        return "not alive, so it says nothing"
    return "SUCCEEDS" if outcome.succeeded else "fails"


def as_json(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the outcomes for a JSON file."""
    return [
        {**asdict(outcome), "alive": outcome.alive, "succeeded": outcome.succeeded}
        for outcome in outcomes
    ]


def _key_recovery(terms: Terms) -> Outcome:
    blinded = terms.topology == BLINDED
    return key_recovery_attack.experiment(_scores(terms).plan, secrets.token_bytes, blinded=blinded)


def _model_recovery(terms: Terms) -> Outcome:
    return model_recovery_attack.experiment(_scores(terms).plan, secrets.token_bytes)


def _concealment(terms: Terms) -> Outcome:
    return concealment_attack.experiment(gram_plan(terms), secrets.token_bytes)


def _dictionary(terms: Terms) -> Outcome:
    public = [terms.identifier.encode(), bytes.fromhex(terms.identifier), terms.coalition.encode()]
    return dictionary_attack.experiment(_IDS, public)


def _differencing(terms: Terms) -> Outcome:
    return differencing_attack.experiment(
        terms.shoppers, terms.factors, _release(terms), secrets.token_bytes, _protection(terms)
    )


def _isolation(terms: Terms) -> Outcome:
    return isolation_attack.experiment(
        terms.shoppers,
        terms.factors,
        _release(terms),
        secrets.token_bytes,
        largest=terms.release_policy.largest_product * (1 - 1e-9),
        protection=_protection(terms),
    )


def _membership(terms: Terms) -> Outcome:
    private = terms.gram_privacy
    typical = math.sqrt(terms.factors / terms.shoppers)
    norm = typical if private is None else private.row_bound(terms.factors, terms.shoppers)
    return membership_attack.experiment(
        terms.shoppers,
        terms.factors,
        _release(terms),
        secrets.token_bytes,
        norm=norm,
        releases=1,
        protection=_protection(terms),
    )


def _reconstruction(terms: Terms) -> Outcome:
    factors = min(terms.factors, _FACTORS)
    made = SyntheticCoalition(_SHOPPERS, retailers=terms.retailers[:4], items=_CATALOGUE)
    return reconstruction_attack.experiment(
        {name: made.counts(name) for name in made.retailers},
        factors=factors,
        ridge=terms.ridge,
        decay=terms.decay,
        top_k=None if terms.topology == BLINDED else min(terms.top_k, _CATALOGUE),
    )


def _temporal(terms: Terms) -> Outcome:
    made = SyntheticCoalition(_SHOPPERS // 3, retailers=terms.retailers[:2], items=_CATALOGUE // 2)
    asker, source = (
        (made.counts(name).toarray() > 0).astype(np.float64) for name in terms.retailers[:2]
    )
    count = max(1, min(terms.top_k, _CATALOGUE // 4))
    release, protection = _similar_lists(terms, source.shape, count)
    return temporal_attack.experiment_across(asker, source, release, protection=protection)


def _similar_lists(
    terms: Terms, shape: tuple[int, ...], count: int
) -> tuple[Callable[[Float], NDArray[np.int64] | None], str]:
    """Return what the coalition's gate does to similarities of items, and its name."""
    shoppers, items = shape
    asker, source = terms.retailers[:2]
    try:
        task = SimilarityTask(terms, asker, "items", source, items, items, shoppers, count)
    except (InvalidInput, ReleaseRefused) as error:
        return lambda cosines: None, f"no such lists: {error}"
    gate = ReleaseGate(terms.release_policy, secrets.token_bytes)
    plan = task.plan

    def release(cosines: Float) -> NDArray[np.int64]:
        if isinstance(plan, ProductPlan):
            return gate.top_scores(Decrypted(plan, cosines), count).items.astype(np.int64)
        return gate.most_similar(plan, [Panel(plan, 0, 0, cosines)], count).columns

    return release, f"none but that {count} of {items} items are shown; a task may be repeated"


def _factoring(terms: Terms) -> Outcome:
    return factoring_attack.experiment_on_decryptor(PaillierParameters(), secrets.token_bytes)


def _extraction(terms: Terms) -> Outcome:
    owner, asker = terms.retailers[:2]
    shoppers = min(max(_SCORED, 2 * terms.factors), terms.shoppers)
    task = QueryTask(terms, owner, asker, shoppers, max(_CATALOGUE, terms.top_k))
    return extraction_attack.experiment(task.plan, secrets.token_bytes)


def _scores(terms: Terms) -> ScoreTask:
    # Queries under own keys are concealed by the same code; these are under the coalition's key.
    agreed = replace(terms, topology=COALITION_KEY) if terms.topology == OWN_KEY else terms
    rows = tuple(range(min(_SCORED, terms.shoppers)))
    return ScoreTask(agreed, terms.retailers[0], rows, max(_CATALOGUE, terms.top_k))


def _release(terms: Terms) -> Callable[[Float], Float]:
    """Return what the coalition's gate does to a Gram block."""
    plan, gate = gram_plan(terms), ReleaseGate(terms.release_policy, secrets.token_bytes)
    return lambda block: gate.gram(Decrypted(plan, block))


def _protection(terms: Terms) -> str:
    private = terms.gram_privacy
    if private is None:
        return "none but that blocks are released once; flooding protects the key"
    return f"noise for epsilon = {private.epsilon:g}, delta = {private.delta:g}"


ATTACKS: Mapping[str, Callable[[Terms], Outcome]] = MappingProxyType(
    {
        "key-recovery": _key_recovery,
        "model-recovery": _model_recovery,
        "concealment": _concealment,
        "dictionary": _dictionary,
        "differencing": _differencing,
        "isolation": _isolation,
        "membership": _membership,
        "reconstruction": _reconstruction,
        "extraction": _extraction,
        "temporal": _temporal,
        "factoring": _factoring,
    }
)
"""Attacks by name, each on the terms of a coalition."""
