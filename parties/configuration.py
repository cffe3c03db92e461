"""The two configuration files: ``coalition.toml`` for everybody, ``party.toml`` for one party.

Both are read once, at the edge. What comes out is complete, checked and immutable; what is wrong
with a file is one sentence that names the file, the key, what stands there and what may.
"""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from hecf.errors import ConfigurationError
from hecf.privacy.accounting import noise_multiplier
from hecf.protocol.terms import BLINDED, MOST_SUMS, Terms
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER
from hecf.threads import MOST
from parties.files import read_limited

COMPLETE_JOURNEY = "complete-journey"
RESERVED_NAMES = (COMPUTE_NODE, KEY_HOLDER, "authority")
ROLE_FILES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        COMPUTE_NODE: frozenset({"allowed"}),
        KEY_HOLDER: frozenset({"allowed", "storage_key", "ledger_witness"}),
        RETAILER: frozenset({"pseudonym_key", "directory"}),
    }
)
_ROLE_ONLY_FILES = frozenset().union(*ROLE_FILES.values())
_LARGEST_FILE = 1 << 20
_LONGEST_EXCERPT = 80
_MEGABYTE = 1 << 20
_TRANSFER_SECONDS = 600.0
_RETAILER_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_HOST_LABEL}(?:\.{_HOST_LABEL})*")


def _refusal(got: str, expected: str, key: str = "") -> PydanticCustomError:
    """Carry got, expected and the key below the validated section to :func:`_sentence`."""
    context = {"got": got, "expected": expected, "key": key}
    return PydanticCustomError("refused", "refused", context)


def _excerpt(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}..."


def _path(value: object, information: ValidationInfo) -> Path:
    printable = isinstance(value, str) and value.strip() != "" and value.isprintable()
    if not isinstance(value, str) or not printable:
        raise _refusal(_excerpt(value), "a path as text")
    context: Mapping[str, Path] = information.context or {}
    return context.get("folder", Path.cwd()) / value


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not (re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) <= 65535 and _is_host(host)):
        raise _refusal(_excerpt(value), "HOST:PORT with a port from 1 to 65535")
    return value


def _is_host(host: str) -> bool:
    address = host
    if host.startswith("[") and host.endswith("]"):
        address = host[1:-1]
        if ":" not in address:
            return False
    elif re.fullmatch(r"[0-9.]+", host) is None:
        return _HOST.fullmatch(host) is not None
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _retailer_name(name: str, key: str) -> None:
    if _RETAILER_NAME.fullmatch(name) is None:
        raise _refusal(_excerpt(name), "a name like 'grocer' of a-z, 0-9 and hyphens", key)
    if name in RESERVED_NAMES:
        raise _refusal(_excerpt(name), f"a name other than {', '.join(RESERVED_NAMES)}", key)


LocalPath = Annotated[Path, BeforeValidator(_path)]
Address = Annotated[str, AfterValidator(_address)]


class Section(BaseModel):
    """A table of a configuration file: exact types, no unknown keys, immutable."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    raise _refusal("an unknown key", f"one of {', '.join(cls.model_fields)}", key)
        return values


class ConfigurationFile(Section):
    """A whole file, read by :meth:`load`."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a file; relative paths in it start at its own folder.

        Raises
        ------
        ConfigurationError
            If the file cannot be read, is not TOML, or a key is missing, unknown, out of its
            range or in conflict with another.
        """
        content = parse_toml(path)
        try:
            return cls.model_validate(content, context={"folder": path.parent.absolute()})
        except ValidationError as error:
            raise _sentence(path, error.errors(include_url=False)[0]) from None
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{path} cannot be used because {error.message}",
                got=_excerpt(error.got),
                expected=error.expected,
            ) from None


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
    """``[members]``: whose rows the directory holds; either a data set or a file of ids."""

    source: Literal["complete-journey"] | None = None
    path: LocalPath | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        _exactly_one("source", self.source, "path", self.path)
        return self


class EndpointSection(Section):
    """``[compute_node]`` or ``[key_holder]``: where a serving party is reached."""

    address: Address


class DataSection(Section):
    """``[retailers.NAME]`` or a kit's ``[data]``: where a retailer's interactions come from."""

    source: Literal["complete-journey"] | None = None
    interactions: LocalPath | None = None
    held_out_members: LocalPath | None = None
    items: Literal["product_type", "product"] = "product_type"
    weighting: Literal["binary", "log1p"] = "binary"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        _exactly_one("source", self.source, "interactions", self.interactions)
        if self.source is not None and self.held_out_members is not None:
            raise _refusal("a file", f"no file with source = {self.source!r}", "held_out_members")
        if self.source is None and "items" in self.model_fields_set:
            raise _refusal(_excerpt(self.items), "no items with interactions = ...", "items")
        return self


class PrivacySection(Section):
    """``[privacy]``: differential privacy of what is released; without the table there is none.

    `clip` is of the Gram blocks, 0 where there are none. `sums` is how many sums share the budget,
    `sum_clip` the most that a shopper adds to one, and `colluders` of their contributors cannot
    take away the noise that privacy needs.
    """

    epsilon: float = Field(gt=0, le=1e3)
    delta: float = Field(gt=0, le=0.5)
    clip: float = Field(default=1.5, ge=0, le=1e3)
    sums: int = Field(default=0, ge=0, le=MOST_SUMS)
    sum_clip: float = Field(default=0.0, ge=0, le=1e9)
    colluders: int = Field(default=1, ge=0)


class EvaluationSection(Section):
    """``[evaluation]``: which share of the shoppers is hidden at each retailer."""

    held_out_fraction: float = Field(gt=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=1 << 63)


class LimitsSection(Section):
    """``[limits]``: what a party waits for and accepts at most (controls C06 and C26)."""

    patience_seconds: float = Field(default=120.0, gt=0, le=86_400)
    task_seconds: float = Field(default=604_800.0, gt=0, le=31_536_000)
    message_megabytes: int = Field(default=4, ge=1, le=64)
    upload_megabytes: int = Field(default=1024, ge=1, le=1 << 20)
    party_arriving_megabytes: int = Field(default=2048, ge=1)
    arriving_megabytes: int = Field(default=8192, ge=1)
    concurrent_calls: int = Field(default=32, ge=1, le=1024)
    party_calls: int = Field(default=16, ge=1, le=1024)
    party_calls_per_minute: int = Field(default=6000, ge=1)
    party_megabytes_per_minute: int = Field(default=8192, ge=1)
    worker_megabytes: int = Field(default=8192, ge=512)
    job_seconds: float = Field(default=1800.0, gt=0, le=86_400)
    encryption_processes: int = Field(default=1, ge=1, le=256)
    threads: int | None = Field(default=None, ge=1, le=MOST)

    @model_validator(mode="after")
    def _upload_holds_a_message(self) -> Self:
        if self.upload_megabytes < self.message_megabytes:
            expected = f"at least message_megabytes = {self.message_megabytes}"
            raise _refusal(_excerpt(self.upload_megabytes), expected, "upload_megabytes")
        names = "upload_megabytes", "party_arriving_megabytes", "arriving_megabytes"
        for smaller, larger in pairwise(names):
            if getattr(self, larger) < getattr(self, smaller):
                expected = f"at least {smaller} = {getattr(self, smaller)}"
                raise _refusal(_excerpt(getattr(self, larger)), expected, larger)
        return self

    @property
    def call_seconds(self) -> float:
        """Longest call: the key holder waits for the node, and the node for the retailers."""
        return 3 * self.patience_seconds + _TRANSFER_SECONDS

    @property
    def worker_memory_bytes(self) -> int:
        """Address space of a worker process."""
        return self.worker_megabytes * _MEGABYTE

    @property
    def bytes_per_minute(self) -> int:
        """Bytes that one party may move in a minute."""
        return self.party_megabytes_per_minute * _MEGABYTE

    @property
    def message_bytes(self) -> int:
        """Largest gRPC message in bytes."""
        return self.message_megabytes * _MEGABYTE

    @property
    def upload_bytes(self) -> int:
        """Largest whole upload in bytes."""
        return self.upload_megabytes * _MEGABYTE

    @property
    def party_arriving_bytes(self) -> int:
        """Bytes of one party's uploads that may be arriving."""
        return self.party_arriving_megabytes * _MEGABYTE

    @property
    def arriving_bytes(self) -> int:
        """Bytes of everybody's uploads that may be arriving."""
        return self.arriving_megabytes * _MEGABYTE


class OperationsSection(Section):
    """``[operations]`` of a serving party: what it shows to those who run it."""

    metrics_port: int | None = Field(default=None, ge=1, le=65_535)
    reflection: bool = False


class CoalitionConfiguration(ConfigurationFile):
    """``coalition.toml``: what a coalition computes, who is in it and where they are.

    The order of `retailers` is the order of their tables in the file, and the agreed one.
    """

    coalition: CoalitionSection
    members: MembersSection
    compute_node: EndpointSection
    key_holder: EndpointSection
    retailers: Annotated[Mapping[str, DataSection], AfterValidator(MappingProxyType)]
    evaluation: EvaluationSection | None = None
    privacy: PrivacySection | None = None
    limits: LimitsSection = LimitsSection()

    def terms(self, identifier: str, shoppers: int, directory: str) -> Terms:
        """Terms of this coalition for a drawn identifier and a built member directory.

        Raises
        ------
        ConfigurationError
            If a field is out of its range, for example with too few shoppers, or the noise of an
            agreed privacy cannot be computed because dp-accounting is not installed.
        """
        agreed = self.coalition.model_dump(exclude={"name"})
        if self.privacy is not None:
            agreed |= self.privacy.model_dump()
            # All blocks are released together, once: they are one mechanism, and each sum is one.
            mechanisms = self.privacy.sums + (self.privacy.clip > 0)
            budget = self.privacy.epsilon, self.privacy.delta
            agreed["noise_multiplier"] = noise_multiplier(*budget, max(1, mechanisms))
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
            _retailer_name(name, "retailers")
        if self.compute_node.address == self.key_holder.address:
            expected = "another address than compute_node.address"
            raise _refusal(_excerpt(self.key_holder.address), expected, "key_holder.address")
        # The ranges stand in one place, in the terms. A directory that is surely large enough
        # stands in for the one that is not built yet.
        shoppers = max(self.coalition.minimum_shoppers, self.coalition.factors + 1)
        self.terms("0" * 32, shoppers, "0" * 64)
        if self.evaluation is not None:
            fraction = self.evaluation.held_out_fraction
            if fraction * len(self.retailers) > 1 + 1e-9:
                expected = f"at most 1 / {len(self.retailers)} retailers"
                raise _refusal(_excerpt(fraction), expected, "evaluation.held_out_fraction")
        return self


class PartySection(Section):
    """``[party]``: whose kit this is."""

    role: Literal["compute-node", "key-holder", "retailer"]
    name: str

    @model_validator(mode="after")
    def _named_after_role(self) -> Self:
        if self.role == RETAILER:
            _retailer_name(self.name, "name")
        elif self.name != self.role:
            raise _refusal(_excerpt(self.name), repr(self.role), "name")
        return self


class FilesSection(Section):
    """``[files]``: the kit's files and folders; the last four belong to certain roles only."""

    certificate: LocalPath
    private_key: LocalPath
    authority: LocalPath
    terms: LocalPath
    state: LocalPath
    output: LocalPath
    pseudonym_key: LocalPath | None = None
    directory: LocalPath | None = None
    storage_key: LocalPath | None = None
    allowed: LocalPath | None = None
    ledger_witness: LocalPath | None = None


class PartyConfiguration(ConfigurationFile):
    """``party.toml``: what one party needs to run, and nothing that its role may not hold.

    Security
    --------
    A kit that names the pseudonym key at the compute node or the key holder, or the storage key
    anywhere but at the key holder, is refused, because a role that holds it breaks the promise
    made to the shoppers whatever the code does with it (controls C11 and C30).
    """

    party: PartySection
    files: FilesSection
    compute_node: EndpointSection
    key_holder: EndpointSection
    limits: LimitsSection = LimitsSection()
    data: DataSection | None = None
    evaluation: EvaluationSection | None = None
    operations: OperationsSection | None = None

    @model_validator(mode="after")
    def _fits_role(self) -> Self:
        role = self.party.role
        for name in sorted(_ROLE_ONLY_FILES):
            held = getattr(self.files, name) is not None
            if held and name not in ROLE_FILES[role]:
                raise _refusal("a file", f"no {name} in the kit of a {role}", f"files.{name}")
            if not held and name in ROLE_FILES[role]:
                raise _refusal("nothing", f"a file in the kit of a {role}", f"files.{name}")
        if role == RETAILER and self.data is None:
            raise _refusal("nothing", "a table in the kit of a retailer", "data")
        for name in ("data", "evaluation"):
            if role != RETAILER and getattr(self, name) is not None:
                raise _refusal("a table", f"no {name} in the kit of a {role}", name)
        if role == RETAILER and self.operations is not None:
            raise _refusal("a table", "no operations in the kit of a retailer", "operations")
        return self


def _exactly_one(first: str, first_value: object, second: str, second_value: object) -> None:
    if (first_value is None) == (second_value is None):
        got = "neither" if first_value is None else "both"
        raise _refusal(got, f"either {first} or {second}", first)


def parse_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of bounded size; raises ConfigurationError."""
    raw = read_limited(path, _LARGEST_FILE)
    try:
        text = raw.decode()
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _not_toml(path, f"bytes that are not UTF-8 at line {line}") from None
    except RecursionError:
        raise _not_toml(path, "values nested too deeply") from None
    except ValueError as error:
        last = f"line {text.count(chr(10)) + 1}"
        raise _not_toml(path, str(error).replace("end of document", last)) from None


def _not_toml(path: Path, got: str) -> ConfigurationError:
    return ConfigurationError(f"{path} is not a TOML file", got=got, expected="TOML 1.0")


def _sentence(path: Path, detail: ErrorDetails) -> ConfigurationError:
    """Turn the first of pydantic's findings into one sentence."""
    parts = [str(part) for part in detail["loc"]]
    if detail["type"] == "refused":
        context = detail["ctx"]
        parts += [context["key"]] if context["key"] else []
        got, expected = context["got"], context["expected"]
    elif detail["type"] == "missing":
        got, expected = "nothing", "a value"
    elif detail["type"] in ("model_type", "model_attributes_type", "mapping_type", "dict_type"):
        got, expected = _excerpt(detail["input"]), "a table"
    else:
        got = _excerpt(detail["input"])
        expected = detail["msg"].removeprefix("Input should be ")
    # Names with a dot come from the code, all others must not break the sentence.
    shown = ".".join(
        part if all(map(_BARE_KEY.fullmatch, part.split("."))) else json.dumps(part[:64])
        for part in parts
    )
    key = shown or "the top level"
    return ConfigurationError(f"{key} in {path} cannot be used", got=got, expected=expected)
