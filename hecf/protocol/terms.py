"""The terms that all parties of a coalition agree on before anything is uploaded.

The terms are written once, by ``hecf provision``, and lie in every kit. Their fingerprint is
compared when a party joins and is bound into every task, so that nobody can lower a minimum
or swap a parameter afterwards (controls C07 and C18).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from hecf.errors import ConfigurationError
from hecf.privacy.policy import GramPrivacy, ReleasePolicy, SumPrivacy

FORMAT_VERSION = 1
LARGEST_RIDGE = 1e12
MOST_SHOPPERS = (1 << 32) - 1
"""Rows of the directory travel as 32-bit numbers."""

SCHEMES = ("ckks", "paillier", "clear")
COALITION_KEY = "coalition-key"
BLINDED = "coalition-key-blinded"
OWN_KEY = "own-key"
TOPOLOGIES = (BLINDED, COALITION_KEY, OWN_KEY)
NOT_BUILT = {"threshold": "decryption by several key holders together is not built"}
"""Topologies that have a name and are refused."""

NO_DIRECTORY = "0" * 64
"""In place of a directory's fingerprint where the shoppers of different retailers are different."""

LARGEST_PRODUCT = 1.0
"""Largest entry of a Gram block: the columns of local embeddings are orthonormal, or shorter."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_HEX_128 = re.compile(r"[0-9a-f]{32}")
_HEX_256 = re.compile(r"[0-9a-f]{64}")
MOST_SUMS = 1 << 20
_PRIVACY = {"epsilon": 1e3, "delta": 0.5, "noise_multiplier": 1e6}
_CLIPS = {"clip": 1e3, "sum_clip": 1e9}
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "tuple[str, ...]": (tuple,),
    "bool": (bool,),
}


@dataclass(frozen=True)
class Terms:
    """What a coalition computes, for whom, and how exactly.

    Parameters
    ----------
    coalition : str
        Name of the coalition: lower-case letters, digits and hyphens.
    identifier : str
        32 hexadecimal digits drawn at provisioning; two coalitions never share them.
    scheme : {"ckks", "paillier", "clear"}
        Encryption scheme. ``paillier`` does sums only. ``clear`` does not encrypt and exists for
        tests and comparison.
    retailers : tuple of str
        Names in the agreed order; every pair and every target follows it.
    shoppers : int
        Rows of the member directory; without one, the most shoppers of any retailer.
    directory : str
        SHA-256 of the member directory in hexadecimal, or :data:`NO_DIRECTORY`: there are no Gram
        blocks then, and shoppers of different retailers are different.
    factors : int
        Columns d of each local embedding.
    ridge : float
        Ridge penalty of the joint regression, in units of squared orthonormal columns.
    decay : float
        Exponent g of the public prior: factor k is scaled by ``(k + 1) ** -g``.
    top_k : int
        Items released for a shopper.
    statistical_bits : int
        Security s of the noise that floods a release, in bits.
    releases : int
        Results the key holder may release under one key (tau).
    minimum_shoppers : int
        Least number of directory rows on which a Gram block may be released.
    topology : {"coalition-key-blinded", "coalition-key", "own-key"}
        Who can read decrypted scores: only their target, who then sees all scores of its members;
        the key holder as well, who picks the best `top_k` for the target; or, of its own shoppers
        on the catalogues of others, the retailer that asks, under its own key.
    minimum_contributors : int
        Least number of retailers in a released sum.
    epsilon, delta, noise_multiplier : float
        Differential privacy of all that is released about shoppers, or 0 for none. The multiplier
        is that of every mechanism: one for the Gram blocks, if any, and one for each sum. It is
        computed once, at provisioning, and agreed on as a number.
    clip : float
        Of the Gram blocks (:class:`hecf.privacy.policy.GramPrivacy`); 0 with privacy: there are no
        Gram blocks, and shoppers of different retailers are different.
    sum_clip : float
        Of sums (:class:`hecf.privacy.policy.SumPrivacy`).
    sums : int
        Sums for which the budget is made; with privacy and 0 there are none.
    colluders : int
        Contributors to a sum who may take their own noise away.
    minimum_rows : int
        Least number of a retailer's rows, shoppers or items, among which another looks for similar
        ones.
    joint_clip : bool
        Whether `clip` bounds a shopper's rows at all retailers together, each by the root of their
        number more, or the row at each.

    Raises
    ------
    ConfigurationError
        If a field is of another type or out of its range.
    """

    coalition: str
    identifier: str
    scheme: str
    retailers: tuple[str, ...]
    shoppers: int
    directory: str
    factors: int = 32
    ridge: float = 0.1
    decay: float = 0.5
    top_k: int = 20
    statistical_bits: int = 30
    releases: int = 4096
    minimum_shoppers: int = 100
    minimum_contributors: int = 2
    topology: str = BLINDED
    epsilon: float = 0.0
    delta: float = 0.0
    clip: float = 0.0
    noise_multiplier: float = 0.0
    sum_clip: float = 0.0
    sums: int = 0
    colluders: int = 0
    minimum_rows: int = 10
    joint_clip: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), str(field.type))
        for name in self.retailers:
            _check_type("retailers", name, "str")
        _check("coalition", self.coalition, _NAME.fullmatch(self.coalition), "a name like 'loyal'")
        _check("identifier", self.identifier, _HEX_128.fullmatch(self.identifier), "32 hex digits")
        _check("directory", self.directory, _HEX_256.fullmatch(self.directory), "64 hex digits")
        _check("scheme", self.scheme, self.scheme in SCHEMES, f"one of {', '.join(SCHEMES)}")
        if self.topology in NOT_BUILT:
            raise ConfigurationError(
                f"this topology cannot be chosen because {NOT_BUILT[self.topology]}",
                got=self.topology,
                expected=f"one of {', '.join(TOPOLOGIES)}",
            )
        _check(
            "topology",
            self.topology,
            self.topology in TOPOLOGIES,
            f"one of {', '.join(TOPOLOGIES)}",
        )
        _check("retailers", len(self.retailers), len(self.retailers) >= 2, "at least 2")
        for name in self.retailers:
            _check("retailer name", name, _NAME.fullmatch(name), "a name like 'grocer'")
        distinct = len(set(self.retailers)) == len(self.retailers)
        _check("retailers", ", ".join(self.retailers), distinct, "different names")
        _check("factors", self.factors, 1 <= self.factors <= 1024, "1 to 1024")
        _check("ridge", self.ridge, 0 < self.ridge <= LARGEST_RIDGE, f"up to {LARGEST_RIDGE:g}")
        _check("decay", self.decay, 0 <= self.decay <= 4, "0 to 4")
        _check("top_k", self.top_k, 1 <= self.top_k <= 10_000, "1 to 10000")
        _check(
            "statistical_bits", self.statistical_bits, 20 <= self.statistical_bits <= 80, "20 to 80"
        )
        _check("releases", self.releases, 1 <= self.releases <= 1 << 20, "1 to 1048576")
        _check("minimum_shoppers", self.minimum_shoppers, self.minimum_shoppers >= 2, "at least 2")
        _check(
            "minimum_contributors",
            self.minimum_contributors,
            2 <= self.minimum_contributors <= len(self.retailers),
            f"2 to the {len(self.retailers)} retailers",
        )
        _check("minimum_rows", self.minimum_rows, self.minimum_rows >= 2, "at least 2")
        _check(
            "shoppers",
            self.shoppers,
            self.shoppers >= self.minimum_shoppers,
            f"at least minimum_shoppers = {self.minimum_shoppers}",
        )
        _check(
            "shoppers", self.shoppers, self.shoppers <= MOST_SHOPPERS, f"at most {MOST_SHOPPERS}"
        )
        _check("factors", self.factors, self.factors < self.shoppers, "fewer than the shoppers")
        # The canonical text of 1 and 1.0 differs, so both kinds of number become one.
        for name in ("ridge", "decay", *_PRIVACY, *_CLIPS):
            object.__setattr__(self, name, float(getattr(self, name)))
        _check("sums", self.sums, 0 <= self.sums <= MOST_SUMS, f"0 to {MOST_SUMS}")
        colluding = 0 <= self.colluders < self.minimum_contributors
        _check("colluders", self.colluders, colluding, "fewer than minimum_contributors")
        _check(
            "joint_clip", self.joint_clip, self.clip > 0 or not self.joint_clip, "a clip above 0"
        )
        if any(getattr(self, name) for name in (*_PRIVACY, *_CLIPS, "sums", "colluders")):
            self._check_privacy()

    def to_json(self) -> str:
        """Canonical JSON text: keys sorted, no spaces, format version inside."""
        content = {"format_version": FORMAT_VERSION, **asdict(self)}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Terms:
        """Parse the JSON text of :meth:`to_json`.

        Raises
        ------
        ConfigurationError
            If it is not a JSON object, or a field is unknown, missing, double or of another type.
        """
        try:
            content = json.loads(text, object_pairs_hook=_distinct)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError("the terms are not JSON", got=str(error)) from None
        if not isinstance(content, Mapping):
            raise ConfigurationError("the terms are not a JSON object")
        names = {"format_version", *(field.name for field in fields(cls))}
        if set(content) != names:
            raise ConfigurationError(
                "the terms have other fields",
                got=sorted(set(content) ^ names),
                expected="no difference",
            )
        _check_type("format_version", content["format_version"], "int")
        if content["format_version"] != FORMAT_VERSION:
            raise ConfigurationError(
                "the terms have another format version",
                got=content["format_version"],
                expected=FORMAT_VERSION,
            )
        values = {name: value for name, value in content.items() if name != "format_version"}
        if isinstance(values["retailers"], list):
            values["retailers"] = tuple(values["retailers"])
        return cls(**values)

    @property
    def private(self) -> bool:
        """Whether differential privacy was agreed on."""
        return self.epsilon > 0

    @property
    def blocks_agreed(self) -> bool:
        """Whether Gram blocks may be released: they need common rows.

        Nor are they where privacy was agreed on for sums alone.
        """
        return self.directory != NO_DIRECTORY and (self.clip > 0 or not self.private)

    @property
    def gram_privacy(self) -> GramPrivacy | None:
        """Differential privacy of the Gram blocks, if any was agreed on."""
        if self.clip == 0:
            return None
        return GramPrivacy(
            self.epsilon,
            self.delta,
            self.clip,
            self.noise_multiplier,
            len(self.retailers),
            self.joint_clip,
        )

    @property
    def sum_privacy(self) -> SumPrivacy | None:
        """Differential privacy of sums, if any was agreed on."""
        if self.sums == 0:
            return None
        # Gram blocks have the same shoppers at every retailer.
        appearances = len(self.retailers) if self.clip > 0 else 1
        return SumPrivacy(
            self.sum_clip,
            self.noise_multiplier,
            self.minimum_contributors,
            self.colluders,
            appearances,
        )

    @property
    def release_policy(self) -> ReleasePolicy:
        """The conditions of every release, which the fingerprint binds."""
        return ReleasePolicy(
            minimum_shoppers=self.minimum_shoppers,
            top_k=self.top_k,
            minimum_contributors=self.minimum_contributors,
            statistical_bits=self.statistical_bits,
            releases=self.releases,
            blinded=self.topology == BLINDED,
            gram_privacy=self.gram_privacy,
            minimum_rows=self.minimum_rows,
            largest_product=LARGEST_PRODUCT,
        )

    def _check_privacy(self) -> None:
        for name, highest in _PRIVACY.items():
            value = getattr(self, name)
            _check(name, value, 0 < value <= highest, f"above 0, up to {highest:g}, as all three")
        for name, highest in _CLIPS.items():
            value = getattr(self, name)
            _check(name, value, 0 <= value <= highest, f"0 to {highest:g}")
        blocks = self.scheme != "paillier" or self.clip == 0
        _check("clip", self.clip, blocks, "0 with scheme paillier, which has no Gram blocks")
        rows = self.directory != NO_DIRECTORY or self.clip == 0
        _check("clip", self.clip, rows, "0 where retailers have different shoppers")
        agreed = (self.sum_clip > 0) == (self.sums > 0)
        _check("sum_clip", self.sum_clip, agreed, "above 0 with sums, and 0 without")
        _check("sums", self.sums, self.clip > 0 or self.sums > 0, "at least 1, or a clip above 0")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, refusing a name that occurs twice."""
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name occurs twice")
    return content


def _check_type(name: str, value: object, kind: str) -> None:
    # True is an int to Python, and would be a 1 of another fingerprint.
    if (isinstance(value, bool) and kind != "bool") or not isinstance(value, _KINDS[kind]):
        raise ConfigurationError(
            f"the terms' field {name!r} has another type", got=type(value).__name__, expected=kind
        )


def _check(name: str, got: object, holds: object, expected: str) -> None:
    if not holds:
        raise ConfigurationError(f"the terms' {name} is out of range", got=got, expected=expected)
