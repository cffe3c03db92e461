"""``coalition.toml``: what a coalition computes, who is in it and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from hecf.kits.configuration import (
    EndpointSection,
    EvaluationSection,
    LimitsSection,
    RetailerSection,
    check_retailer_name,
)
from hecf.kits.tables import (
    ConfigurationFile,
    LocalPath,
    Section,
    exactly_one,
    excerpt,
    refusal,
)
from hecf.privacy.budget import Privacy
from hecf.protocol.terms import BLINDED, MOST_SHOPPERS, MOST_SUMS, NO_DIRECTORY, Terms

COMPLETE_JOURNEY = "complete-journey"


class CoalitionSection(Section):
    """``[coalition]``: what is computed; the ranges are those of the terms."""

    name: str
    scheme: Literal["ckks", "paillier", "clear"] = "ckks"
    factors: int = 32
    ridge: float = 0.1
    decay: float = 0.5
    top_k: int = 20
    statistical_bits: int = 30
    releases: int = 4096
    minimum_shoppers: int = 100
    minimum_contributors: int = 2
    minimum_rows: int = 10
    topology: str = BLINDED


class MembersSection(Section):
    """``[members]``: whose rows the directory holds, from a data set or a file of ids.

    Where shoppers of different retailers are different there is no directory: `most_shoppers`
    bounds how many any retailer has.
    """

    source: Literal["complete-journey"] | None = None
    path: LocalPath | None = None
    most_shoppers: int | None = Field(default=None, ge=2, le=MOST_SHOPPERS)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        exactly_one(source=self.source, path=self.path, most_shoppers=self.most_shoppers)
        return self


class PrivacySection(Section):
    """``[privacy]``: differential privacy of what is released; without the table there is none.

    `clip` is of the Gram blocks, 0 where there are none, and with `joint_clip` of a shopper's rows
    at all retailers together. `sums` is how many sums share the budget,
    `sum_clip` the most that a shopper adds to one, and `colluders` of their contributors cannot
    take away the noise that privacy needs.
    """

    epsilon: float = Field(gt=0, le=1e3)
    delta: float = Field(gt=0, le=0.5)
    clip: float = Field(default=1.5, ge=0, le=1e3)
    joint_clip: bool = False
    sums: int = Field(default=0, ge=0, le=MOST_SUMS)
    sum_clip: float = Field(default=0.0, ge=0, le=1e9)
    colluders: int = Field(default=1, ge=0)


class CoalitionConfiguration(ConfigurationFile):
    """``coalition.toml``: what a coalition computes, who is in it and where they are.

    The order of `retailers` is the order of their tables in the file, and the agreed one.
    """

    coalition: CoalitionSection
    members: MembersSection
    compute_node: EndpointSection
    key_holder: EndpointSection
    retailers: Annotated[Mapping[str, RetailerSection], AfterValidator(MappingProxyType)]
    evaluation: EvaluationSection | None = None
    privacy: PrivacySection | None = None
    limits: LimitsSection = LimitsSection()

    def terms(self, identifier: str, shoppers: int, directory: str) -> Terms:
        """Terms of this coalition for a drawn identifier and a built member directory.

        Where there is no directory its size and fingerprint are not used.

        Raises
        ------
        ConfigurationError
            If a field is out of its range, for example with too few shoppers, or the noise of an
            agreed privacy cannot be computed because dp-accounting is not installed.
        """
        agreed = self.coalition.model_dump(exclude={"name"})
        if self.members.most_shoppers is not None:
            # Nobody has an embedding, and the key's parameters need not carry one.
            agreed["factors"] = 1
            shoppers, directory = self.members.most_shoppers, NO_DIRECTORY
        if self.privacy is not None:
            agreed |= Privacy(**self.privacy.model_dump()).agreed()
        return Terms(
            coalition=self.coalition.name,
            identifier=identifier,
            retailers=tuple(self.retailers),
            shoppers=shoppers,
            directory=directory,
            **agreed,
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.retailers:
            check_retailer_name(name, "retailers")
        if self.compute_node.address == self.key_holder.address:
            expected = "another address than compute_node.address"
            raise refusal(excerpt(self.key_holder.address), expected, "key_holder.address")
        different = self.members.most_shoppers is not None
        if different and "factors" in self.coalition.model_fields_set:
            expected = "no factors with members.most_shoppers"
            raise refusal(excerpt(self.coalition.factors), expected, "coalition.factors")
        if different and self.evaluation is not None:
            raise refusal("a table", "none with members.most_shoppers", "evaluation")
        # The ranges stand in one place, in the terms. A directory that is surely large enough
        # stands in for the one that is not built yet.
        shoppers = max(self.coalition.minimum_shoppers, self.coalition.factors + 1)
        self.terms("0" * 32, shoppers, "1" * 64)
        if self.evaluation is not None:
            fraction = self.evaluation.held_out_fraction
            if fraction * len(self.retailers) > 1 + 1e-9:
                expected = f"at most 1 / {len(self.retailers)} retailers"
                raise refusal(excerpt(fraction), expected, "evaluation.held_out_fraction")
        return self
