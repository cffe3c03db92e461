"""What the report says about roles, topologies, stages and parameters, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hecf.errors import InvalidInput
from hecf.protocol.terms import BLINDED, COALITION_KEY, OWN_KEY
from parties.report import figures


@dataclass(frozen=True)
class RoleWords:
    """What a role is, holds, sees, and must never see.

    Parameters
    ----------
    title, holds, sees, never : str
    """

    title: str
    holds: str
    sees: str
    never: str


@dataclass(frozen=True)
class TopologyWords:
    """Who decrypts in a topology, and what breaks its promise.

    Parameters
    ----------
    decrypts, broken_by : str
    """

    decrypts: str
    broken_by: str


RETAILER, COMPUTE_NODE, KEY_HOLDER = "retailer", "compute-node", "key-holder"

_ROLES = {
    RETAILER: RoleWords(
        "Retailer",
        "Its own interactions and its own model, the coalition's public key, and the key of the "
        "members' pseudonyms, which retailers share",
        "The released products of all embeddings, the best items of its own members, which "
        "members another retailer asks about, and the size of its catalogue",
        "Another retailer's rows: who bought what there, and how often",
    ),
    COMPUTE_NODE: RoleWords(
        "Compute node",
        "Ciphertexts, task descriptions, the public key, and each retailer's item model, in "
        "clear but without names",
        "Sizes, timing, and positions in the member directory",
        "Any secret key, the pseudonym key, any interaction in clear",
    ),
    KEY_HOLDER: RoleWords(
        "Key holder",
        "The secret key and the count of what was released under it",
        "The results of the agreed tasks, by position and before their release: products of "
        "embeddings, and scores of members without names",
        "Any ciphertext that a retailer uploads, the pseudonym key, any name of a member or item",
    ),
}
_UNENCRYPTED_NODE = RoleWords(
    "Compute node",
    "Everything the retailers upload, as plain numbers, because this run is not encrypted",
    "Every embedding and every score, by position",
    "Any secret key, the pseudonym key; what is uploaded is not hidden from it in this run",
)
_UNENCRYPTED_HOLDER = RoleWords(
    "Key holder",
    "A stand-in for the secret key, which protects nothing, and the count of releases",
    _ROLES[KEY_HOLDER].sees,
    _ROLES[KEY_HOLDER].never,
)

_MASKED_HOLDER = RoleWords(
    "Key holder",
    _ROLES[KEY_HOLDER].holds,
    "Products of embeddings by position, before their release; scores only under masks that it "
    "does not have, which look like noise",
    "Any ciphertext that a retailer uploads, any score of a member, the pseudonym key, any name of "
    "a member or item",
)
_MASKED_RETAILER = RoleWords(
    "Retailer",
    _ROLES[RETAILER].holds,
    "The released products of all embeddings, all scores of its own members, from which their "
    "combined embedding follows, which members another retailer asks about, and the size of its "
    "catalogue",
    _ROLES[RETAILER].never,
)

_SCORELESS_HOLDER = RoleWords(
    "Key holder",
    _ROLES[KEY_HOLDER].holds,
    "Products of embeddings by position, before their release; no score",
    _MASKED_HOLDER.never,
)
_ASKING_RETAILER = RoleWords(
    "Retailer",
    _ROLES[RETAILER].holds + ", and the keys of its own queries",
    "The released products of all embeddings, all scores of its own members on the catalogues of "
    "the others, from which their item models follow, and the sizes of those catalogues",
    _ROLES[RETAILER].never + "; whom another retailer asks about",
)

TOPOLOGIES: Mapping[str, TopologyWords] = MappingProxyType(
    {
        BLINDED: TopologyWords(
            "One key holder, separate from the compute node, decrypts results of the agreed tasks. "
            "Scores it decrypts under a mask that the compute node gives to the receiving "
            "retailer only, so it reads none of them.",
            "The compute node and the key holder colluding: the one has every retailer's "
            "ciphertexts and every mask, the other the key, so together they could read all that "
            "was uploaded.",
        ),
        COALITION_KEY: TopologyWords(
            "One key holder, separate from the compute node, decrypts results of the agreed tasks "
            "and nothing else.",
            "The compute node and the key holder colluding: the one has every retailer's "
            "ciphertexts, the other the key to them, so together they could read all that was "
            "uploaded.",
        ),
        OWN_KEY: TopologyWords(
            "A retailer that asks about its own members on the catalogue of another decrypts the "
            "answer itself, under a key that nobody else has. One key holder decrypts the products "
            "of embeddings from which they learn, and no score.",
            "For the embeddings, the compute node and the key holder colluding. For scores, no "
            "two parties: only the asker has the key. The owner's item model, however, follows "
            "from the answers to as many questions as there are factors, and the compute node "
            "has it in clear.",
        ),
    }
)

_STAGES = {
    "encode": "Numbers are laid out so that one ciphertext carries many of them",
    "encrypt": "Retailers encrypt under the coalition's public key",
    "transfer": "Uploads and downloads between parties",
    "compute": "The compute node multiplies and adds ciphertexts",
    "decrypt": "The key holder decrypts results",
    "release": "The key holder adds noise, and rounds and picks from what it can read",
}
_UNENCRYPTED_STAGES = {
    "encode": "Numbers are checked",
    "encrypt": "Numbers are packed as they are",
    "compute": "The compute node multiplies and adds plain numbers",
    "decrypt": "The key holder unpacks results",
    "release": "The key holder rounds and picks the best items",
}


def roles(encrypted: bool, topology: str) -> Mapping[str, RoleWords]:
    """Describe the roles, truthfully also for a run without encryption."""
    blinded = {KEY_HOLDER: _MASKED_HOLDER, RETAILER: _MASKED_RETAILER}
    asking = {KEY_HOLDER: _SCORELESS_HOLDER, RETAILER: _ASKING_RETAILER}
    described = _ROLES | {BLINDED: blinded, OWN_KEY: asking}.get(topology, {})
    if encrypted:
        return described
    return described | {COMPUTE_NODE: _UNENCRYPTED_NODE, KEY_HOLDER: _UNENCRYPTED_HOLDER}


def stages(encrypted: bool) -> Mapping[str, str]:
    """Say what happens in each stage."""
    return _STAGES if encrypted else _STAGES | _UNENCRYPTED_STAGES


def topology(name: str) -> TopologyWords:
    """Describe a topology.

    Raises
    ------
    InvalidInput
        If nothing is known of it; a promise is never guessed.
    """
    if name not in TOPOLOGIES:
        raise InvalidInput(
            "the results have an unknown topology", got=name, expected=" or ".join(TOPOLOGIES)
        )
    return TOPOLOGIES[name]


def parameters(values: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Explain the parameters of a run: name, value, meaning."""
    factors = (
        "Factors",
        figures.count(values["factors"]),
        "How many numbers describe a shopper in each retailer's own model. What two retailers "
        f"compute together is a table of {values['factors']} by {values['factors']} numbers, "
        "however many shoppers and items they have.",
    )
    private = _differential_privacy(values)
    if values["scheme"] == "clear":
        scheme = ("Scheme", "none", "Not encrypted, for comparison: no ring, no key.")
        return [scheme, factors, private]
    columns, rows, others = values["packing"]
    return [
        (
            "Scheme",
            values["scheme"].upper(),
            "Computes with real numbers inside ciphertexts: what sums and products of "
            "ciphertexts decrypt to is, up to a small error, the sum and product of the numbers.",
        ),
        (
            "Security",
            f"{values['security_bits']} bits",
            f"The best known attack needs about 2{figures.power(values['security_bits'])} steps, "
            "which is out of reach. The parameters are checked against a published table.",
        ),
        (
            "Ring degree",
            figures.count(values["ring_degree"]),
            "Length of the polynomials that a ciphertext consists of. Longer is safer and slower.",
        ),
        (
            "Modulus",
            f"{values['modulus_bits']} bits",
            "Room in each coefficient for the numbers and the noise that hides them. More room "
            "means more exact results, but less security at the same ring degree.",
        ),
        (
            "Packing",
            f"{columns} × {rows} × {others}",
            f"One ciphertext carries a block of {figures.count(rows)} shoppers by {columns}, to "
            f"be multiplied with a block of the same shoppers by {others} of another retailer. "
            "The three sizes multiply to the ring degree.",
        ),
        factors,
        (
            "Noise of a release",
            figures.scientific(values["flooding"]),
            "Standard deviation of the random noise that the key holder adds to every number of "
            "such a table. Exact decryptions could betray the secret key to somebody who has "
            "the ciphertexts.",
        ),
        (
            "Margin of that noise",
            f"{values['statistical_bits']} bits",
            "By how much the noise drowns what an exact decryption would betray, counted for "
            "the worst case.",
        ),
        (
            "Releases under one key",
            figures.count(values["releases"]),
            "Ciphertexts whose results may leave the key holder before a new key is due. The "
            "noise is sized for that many.",
        ),
        private,
    ]


def _differential_privacy(values: Mapping[str, Any]) -> tuple[str, str, str]:
    if values["epsilon"] == 0:
        meaning = (
            "None was agreed on. The noise above protects the key; what a table says of one "
            "shopper, somebody who knows all the others can work out."
        )
        return "Differential privacy", "none", meaning
    meaning = (
        f"With delta {values['delta']:g}: how much the tables may tell, at most, of whether a "
        "shopper is in the data, for fixed models of the retailers."
    )
    return "Differential privacy", f"epsilon {values['epsilon']:g}", meaning
