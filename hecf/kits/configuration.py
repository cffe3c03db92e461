"""``party.toml``: what one party of a coalition needs to run.

It is read once, at the edge. What comes out is complete, checked and immutable.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from hecf.kits.tables import (
    ConfigurationFile,
    LocalPath,
    Section,
    exactly_one,
    excerpt,
    refusal,
)
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER
from hecf.threads import MOST

RESERVED_NAMES = (COMPUTE_NODE, KEY_HOLDER, "authority")
ROLE_FILES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        COMPUTE_NODE: frozenset({"allowed"}),
        KEY_HOLDER: frozenset({"allowed", "storage_key", "ledger_witness"}),
        RETAILER: frozenset({"pseudonym_key", "directory"}),
    }
)
_ROLE_ONLY_FILES = frozenset().union(*ROLE_FILES.values())
_MEGABYTE = 1 << 20
_TRANSFER_SECONDS = 600.0
_RETAILER_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_HOST_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_HOST_LABEL}(?:\.{_HOST_LABEL})*")


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not (re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) <= 65535 and _is_host(host)):
        raise refusal(excerpt(value), "HOST:PORT with a port from 1 to 65535")
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


def check_retailer_name(name: str, key: str) -> None:
    """Refuse a name that a retailer cannot have."""
    if _RETAILER_NAME.fullmatch(name) is None:
        raise refusal(excerpt(name), "a name like 'grocer' of a-z, 0-9 and hyphens", key)
    if name in RESERVED_NAMES:
        raise refusal(excerpt(name), f"a name other than {', '.join(RESERVED_NAMES)}", key)


Address = Annotated[str, AfterValidator(_address)]


class EndpointSection(Section):
    """``[compute_node]`` or ``[key_holder]``: where a serving party is reached."""

    address: Address


class RetailerSection(Section):
    """``[retailers.NAME]``: where a retailer's interactions come from.

    Who provisions need not have them: without a source the kit names a file in its own folder.
    """

    source: Literal["complete-journey"] | None = None
    interactions: LocalPath | None = None
    held_out_members: LocalPath | None = None
    items: Literal["product_type", "product"] = "product_type"
    weighting: Literal["binary", "log1p"] = "binary"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.source is not None:
            exactly_one(source=self.source, interactions=self.interactions)
        if self.source is not None and self.held_out_members is not None:
            raise refusal("a file", f"no file with source = {self.source!r}", "held_out_members")
        if self.source is None and "items" in self.model_fields_set:
            raise refusal(excerpt(self.items), "no items with interactions = ...", "items")
        return self


class DataSection(RetailerSection):
    """A kit's ``[data]``: the same, and one source for certain."""

    @model_validator(mode="after")
    def _some_source(self) -> Self:
        exactly_one(source=self.source, interactions=self.interactions)
        return self


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
    queried_members: int = Field(default=256, ge=1)
    threads: int | None = Field(default=None, ge=1, le=MOST)

    @model_validator(mode="after")
    def _upload_holds_a_message(self) -> Self:
        if self.upload_megabytes < self.message_megabytes:
            expected = f"at least message_megabytes = {self.message_megabytes}"
            raise refusal(excerpt(self.upload_megabytes), expected, "upload_megabytes")
        names = "upload_megabytes", "party_arriving_megabytes", "arriving_megabytes"
        for smaller, larger in pairwise(names):
            if getattr(self, larger) < getattr(self, smaller):
                expected = f"at least {smaller} = {getattr(self, smaller)}"
                raise refusal(excerpt(getattr(self, larger)), expected, larger)
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


class PartySection(Section):
    """``[party]``: whose kit this is."""

    role: Literal["compute-node", "key-holder", "retailer"]
    name: str

    @model_validator(mode="after")
    def _named_after_role(self) -> Self:
        if self.role == RETAILER:
            check_retailer_name(self.name, "name")
        elif self.name != self.role:
            raise refusal(excerpt(self.name), repr(self.role), "name")
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
                raise refusal("a file", f"no {name} in the kit of a {role}", f"files.{name}")
            if not held and name in ROLE_FILES[role] and role != RETAILER:
                raise refusal("nothing", f"a file in the kit of a {role}", f"files.{name}")
        if (self.files.pseudonym_key is None) != (self.files.directory is None):
            # A retailer whose shoppers nobody else has needs neither.
            exactly = "both pseudonym_key and directory, or neither"
            raise refusal("one file", exactly, "files.directory")
        if role == RETAILER and self.data is None:
            raise refusal("nothing", "a table in the kit of a retailer", "data")
        for name in ("data", "evaluation"):
            if role != RETAILER and getattr(self, name) is not None:
                raise refusal("a table", f"no {name} in the kit of a {role}", name)
        if role == RETAILER and self.operations is not None:
            raise refusal("a table", "no operations in the kit of a retailer", "operations")
        return self
