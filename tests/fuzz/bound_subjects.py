"""Parsers of what is bound to a task, and of what a party keeps on its own disk."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from encryption import parties, score_plan, unit_item_model
from samples import BLOCKS, TERMS, Message, words_below
from subject import Subject, decoded, exact, text

from hecf.api.v1 import compute_node_pb2, key_holder_pb2
from hecf.coalition import fits
from hecf.data.directory import MemberDirectory
from hecf.errors import MalformedMessage
from hecf.he.blinding import SEED_BYTES, BlindedProduct, MaskSeed
from hecf.he.clear import ClearEncryptor
from hecf.he.clear_matrices import ClearMatrix
from hecf.he.plan import LEFT
from hecf.he.product.tiles import ProductTile
from hecf.privacy.ledger import LedgerHead
from hecf.protocol.computation import Masked
from hecf.protocol.contribution import bound, key_fingerprint, operand_of
from hecf.rpc.audit import Head as AuditHead
from hecf.wire import messages as wire
from parties.processes.journal import FileJournal

KEY = key_fingerprint(b"")


def bound_subjects() -> Iterator[tuple[str, Subject]]:
    """Contributions, commitments, and results as a node keeps and names them."""
    random = np.random.default_rng(11)
    matrix = random.uniform(-0.02, 0.02, (TERMS.shoppers, TERMS.factors))
    operand = ClearEncryptor().encode(BLOCKS.plan, LEFT, matrix)

    def contributed(data: bytes) -> ClearMatrix:
        return ClearMatrix.from_bytes(BLOCKS.plan, LEFT, operand_of(BLOCKS, LEFT, data, KEY))

    yield (
        "contribution",
        Subject(
            Message(
                bound(BLOCKS, LEFT, operand.to_bytes(), KEY),
                contributed,
                lambda parsed: bound(BLOCKS, LEFT, parsed.to_bytes(), KEY),
                lambda parsed: bool(np.isfinite(parsed.values).all()),
            )
        ),
    )
    yield "message of a commitment", _commitment()
    yield "contributions of a result", _contributions()
    plan = score_plan()
    encrypt, evaluate, _ = parties(plan)
    shares = [
        encrypt.encrypt(encrypt.encode(plan, LEFT, random.uniform(-1, 1, (plan.inner, plan.left))))
        for _ in range(plan.summands)
    ]
    scores = evaluate.score(evaluate.add(shares), *unit_item_model(random, plan.inner, plan.right))
    seed = MaskSeed(b"\1" * 32)

    def masked(data: bytes) -> tuple[Masked, BlindedProduct]:
        # As the node takes apart what it has stored, and the key holder what it is given.
        product = data[SEED_BYTES:]
        return Masked(Masked.seed_of(data), product), BlindedProduct.from_bytes(plan, product)

    yield (
        "masked result",
        Subject(
            Message(
                Masked(seed, evaluate.blind(scores, seed).to_bytes()).to_bytes(),
                masked,
                lambda parsed: parsed[0].to_bytes(),
                lambda parsed: words_below(parsed[1].constant, plan.primes),
            )
        ),
    )
    tile = ProductTile(plan, 0, 0, scores.constant, scores.tail)
    yield (
        "tile of a product",
        exact(
            tile,
            lambda data: ProductTile.from_bytes(plan, data),
            lambda parsed: (
                words_below(parsed.constant, plan.primes) and words_below(parsed.tail, plan.primes)
            ),
        ),
    )


def kept_subjects() -> Iterator[tuple[str, Subject]]:
    """Files of a party: what a broken disk or a careless hand makes of them."""
    directory = MemberDirectory(tuple(sorted(bytes([n]) * 32 for n in range(1, 9))))
    yield (
        "member directory",
        text(directory.to_text(), MemberDirectory.from_text, lambda parsed: parsed.to_text()),
    )
    yield (
        "head of a ledger",
        text(LedgerHead(3, "0a" * 32).to_text(), LedgerHead.from_text, LedgerHead.to_text),
    )
    yield (
        "head of an audit log",
        text(AuditHead(3, "0a" * 32).to_text(), AuditHead.from_text, AuditHead.to_text),
    )
    content = {f"{number:064x} left": f"{'0b' * 32} {KEY}" for number in range(3)}
    yield (
        "journal of a retailer",
        text(json.dumps(content), _in_file(FileJournal), lambda parsed: json.dumps(dict(parsed))),
    )
    record = b"".join(bytes([n]) * fits.DIGEST_BYTES for n in range(1, 21))
    yield (
        "record of a fit",
        Subject(
            Message(
                record,
                fits.parsed,
                lambda parsed: b"".join(shopper + brought for shopper, brought in parsed.items()),
                lambda parsed: all(len(each) == fits.DIGEST_BYTES for each in parsed),
            )
        ),
    )


def _commitment() -> Subject:
    message = key_holder_pb2.CommitRequest(
        task_id=bytes.fromhex(BLOCKS.identifier),
        side=wire.side_number(LEFT),
        sha256=b"\2" * 32,
        public_key=bytes.fromhex(KEY),
    )

    def parse(data: bytes) -> tuple[str, str, str, str]:
        request = decoded(key_holder_pb2.CommitRequest, data)
        return (
            wire.identifier_text(request.task_id),
            wire.side_name(request.side),
            wire.digest_text(request.sha256),
            wire.digest_text(request.public_key),
        )

    def write(parsed: Any) -> bytes:
        identifier, side, digest, key = parsed
        return key_holder_pb2.CommitRequest(
            task_id=bytes.fromhex(identifier),
            side=wire.side_number(side),
            sha256=bytes.fromhex(digest),
            public_key=bytes.fromhex(key),
        ).SerializeToString()

    return Subject(Message(message.SerializeToString(), parse, write, all), exact=False)


def _contributions() -> Subject:
    used = {part: f"{number:064x}" for number, part in enumerate(BLOCKS.parts)}

    def write(parsed: Any) -> bytes:
        header = compute_node_pb2.ResultHeader(used=wire.contribution_messages(parsed))
        return header.SerializeToString()

    def parse(data: bytes) -> dict[Any, str]:
        return wire.contributions(decoded(compute_node_pb2.ResultHeader, data).used)

    return Subject(
        Message(write(used), parse, write, lambda parsed: all(map(bytes.fromhex, parsed.values()))),
        exact=False,
    )


def _in_file(parse: Callable[[Path], Any]) -> Callable[[str], Any]:
    folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    path = Path(folder.name) / "file"
    path.touch(mode=0o600)

    def parsed(content: str) -> Any:
        # The folder lives as long as this function does.
        assert folder.name
        try:
            path.write_text(content)
        except UnicodeEncodeError as error:
            raise MalformedMessage("a text has surrogates") from error
        return parse(path)

    return parsed
