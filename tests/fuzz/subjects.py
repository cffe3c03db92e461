"""Everything that parses bytes of another party or of a disk, with a valid input for each."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from bound_subjects import bound_subjects, kept_subjects
from encryption import keys_for, parties, score_plan, unit_item_model
from samples import BLOCKS, TERMS, Message, finite, messages, words_below
from subject import Subject, decoded, exact, text

from hecf.api.v1 import compute_node_pb2, tasks_pb2, terms_pb2
from hecf.errors import MalformedMessage
from hecf.he.blinding import BlindedProduct, BlindedResult, MaskSeed
from hecf.he.own_key.client import OwnKeyClient
from hecf.he.own_key.messages import OwnKeyAnswer, OwnKeyQuery
from hecf.he.own_key.node import OwnKeyNode
from hecf.he.own_key.planner import plan_query
from hecf.he.own_key.public_key import QuerierKey
from hecf.he.own_key.querier import CkksQuerier
from hecf.he.paillier.blinding import BlindedIntegers
from hecf.he.paillier.encryptor import PaillierEncryptor
from hecf.he.paillier.gate import admit_octets
from hecf.he.paillier.keys import PublicKey as PaillierPublicKey
from hecf.he.paillier.keys import generate_keys
from hecf.he.paillier.matrices import PaillierMatrix
from hecf.he.paillier.parameters import PaillierParameters
from hecf.he.paillier.plan import plan_paillier_sum
from hecf.he.paillier.randomness import Randomiser
from hecf.he.parameters import ParameterSet
from hecf.he.plan import LEFT
from hecf.he.similarity.encryptor import SecretRowEncryptor
from hecf.he.similarity.evaluator import SimilarityEvaluator
from hecf.he.similarity.matrices import EncryptedRows, EncryptedTile
from hecf.he.similarity.plan import SECRET_KEY, SimilarityPlan
from hecf.he.similarity.scores import TopSimilar
from hecf.privacy.ledger import Ledger
from hecf.protocol.released import ReleasedSum, similar_from_bytes, similar_to_bytes
from hecf.protocol.tasks import GramTask, QueryTask, ScoreTask, SimilarityTask, SumTask, Task
from hecf.protocol.terms import OWN_KEY, Terms
from hecf.rpc.allowed import AllowedCertificate, AllowedCertificates
from hecf.rpc.audit import START, digest_of, verify
from hecf.rpc.audit import Head as AuditHead
from hecf.rpc.identity import parse_party_uri, party_uri
from hecf.wire import messages as wire
from hecf.wire import transfer

SUM = SumTask(TERMS, "grocer", "sales", 3, 10.0, 8, TERMS.retailers, ("grocer",))
SIMILARITY = SimilarityTask(TERMS, "grocer", "items", "florist", 2, 10, 4, 2)


def subjects() -> dict[str, Subject]:
    """Every subject by name."""
    found = {name: Subject(message) for name, message in messages().items()}
    for more in (_encrypted(), _paillier(), _wire(), _texts(), bound_subjects(), kept_subjects()):
        found |= dict(more)
    return found


def _encrypted() -> Iterator[tuple[str, Subject]]:
    random = np.random.default_rng(9)
    own = plan_query(factors=6, items=40)
    client = OwnKeyClient(keys_for(own.parameters)[0], secrets.token_bytes)
    items, _ = unit_item_model(random, own.factors, own.items)
    query = client.encrypt(own, random.uniform(-1, 1, (own.factors, own.shoppers)))
    yield (
        "own-key query",
        exact(query, lambda data: OwnKeyQuery.from_bytes(own, data)),
    )
    yield (
        "own-key answer",
        exact(
            OwnKeyNode(own, items).evaluate(query), lambda data: OwnKeyAnswer.from_bytes(own, data)
        ),
    )
    querier = CkksQuerier(keys_for(own.parameters)[0], secrets.token_bytes)
    key = QuerierKey.from_bytes(own.parameters, querier.public_key())
    yield "querier key", exact(key, lambda data: QuerierKey.from_bytes(own.parameters, data))
    similar = SimilarityPlan(
        scheme="ckks",
        inner=3,
        left=5,
        right=4,
        parameters=ParameterSet.with_data_primes(1024, 1, special=False),
        level=1,
        left_scale_bits=11,
        right_scale_bits=10,
        encryption=SECRET_KEY,
        concealed=False,
        statistical_bits=30,
        releases=0,
    )
    encryptor = SecretRowEncryptor(keys_for(similar.parameters)[0], secrets.token_bytes)
    left = encryptor.encrypt(similar, "left", random.uniform(-0.5, 0.5, (5, 3)))
    right = encryptor.encrypt(similar, "right", random.uniform(-0.5, 0.5, (4, 3)))
    tile = next(iter(SimilarityEvaluator().evaluate(left, right, rows=2)))
    prime = similar.primes[0]
    yield (
        "similarity rows",
        exact(
            left,
            lambda data: EncryptedRows.from_bytes(similar, LEFT, data),
            lambda parsed: int(parsed.words.max()) < prime,
        ),
    )
    yield (
        "similarity tile",
        exact(
            tile,
            lambda data: EncryptedTile.from_bytes(similar, data),
            lambda parsed: int(parsed.words.max()) < prime,
        ),
    )
    plan = score_plan()
    encrypt, evaluate, _ = parties(plan)
    shares = [
        encrypt.encrypt(encrypt.encode(plan, LEFT, random.uniform(-1, 1, (plan.inner, plan.left))))
        for _ in range(plan.summands)
    ]
    model = unit_item_model(random, plan.inner, plan.right)
    blinded = evaluate.blind(evaluate.score(evaluate.add(shares), *model), MaskSeed(b"\1" * 32))
    yield (
        "blinded product",
        exact(
            blinded,
            lambda data: BlindedProduct.from_bytes(plan, data),
            lambda parsed: (
                words_below(parsed.constant, plan.primes) and words_below(parsed.tail, plan.primes)
            ),
        ),
    )
    yield (
        "blinded result",
        exact(
            BlindedResult(plan, blinded.constant),
            lambda data: BlindedResult.from_bytes(plan, data),
            lambda parsed: words_below(parsed.words, plan.primes),
        ),
    )
    total = ReleasedSum(np.array([1.0, 2.5, -3.0]), TERMS.retailers)
    yield (
        "released sum",
        Subject(
            Message(
                total.to_bytes(SUM),
                lambda data: ReleasedSum.from_bytes(SUM, data),
                lambda parsed: parsed.to_bytes(SUM),
                lambda parsed: finite(parsed.values) and len(parsed.contributors) >= 2,
            )
        ),
    )
    top = TopSimilar(np.array([[0, 9], [3, 4]]), np.array([[0.5, 0.25], [1.0, -1.0]]))
    yield (
        "released similarities",
        Subject(
            Message(
                similar_to_bytes(SIMILARITY, top),
                lambda data: similar_from_bytes(SIMILARITY, data),
                lambda parsed: similar_to_bytes(SIMILARITY, parsed),
                lambda parsed: finite(parsed.scores) and 0 <= parsed.columns.min() < 10,
            )
        ),
    )


def _paillier() -> Iterator[tuple[str, Subject]]:
    parameters = PaillierParameters.insecure_for_tests(512)
    _, public = generate_keys(parameters, secrets.token_bytes)
    plan = plan_paillier_sum(
        values=6, summands=1, value_bound=1.0, precision=0.001, parameters=parameters
    )
    encryptor = PaillierEncryptor(public, Randomiser(public, secrets.token_bytes))
    batch = encryptor.encrypt(encryptor.encode(plan, LEFT, np.linspace(-1, 1, 6)))
    square = int(public.n_squared)

    def admitted(data: bytes) -> PaillierMatrix:
        parsed = PaillierMatrix.from_bytes(plan, data)
        if parsed.key_fingerprint != public.fingerprint:
            raise MalformedMessage("another key")
        admit_octets(public, parsed.octets)
        return parsed

    def below(parsed: Any) -> bool:
        width = parameters.ciphertext_bytes
        numbers = [
            int.from_bytes(parsed.octets[start : start + width], "little")
            for start in range(0, len(parsed.octets), width)
        ]
        return all(0 < number < square for number in numbers)

    yield "Paillier batch", exact(batch, admitted, below)
    width = parameters.modulus_bytes * plan.ciphertexts
    masked = BlindedIntegers(plan, public.fingerprint, bytes(range(width)))
    yield "Paillier masked", exact(masked, lambda data: BlindedIntegers.from_bytes(plan, data))
    yield (
        "Paillier public key",
        exact(
            public,
            lambda data: PaillierPublicKey.from_bytes(parameters, data),
            lambda parsed: parsed.modulus % 2 == 1 and parsed.modulus.bit_length() == 512,
        ),
    )


def _wire() -> Iterator[tuple[str, Subject]]:
    asking = replace(TERMS, topology=OWN_KEY)
    tasks: tuple[tuple[str, Task], ...] = (
        ("gram", GramTask(TERMS)),
        ("score", ScoreTask(TERMS, "butcher", (3, 7, 9), 25)),
        ("query", QueryTask(asking, "butcher", "grocer", 5, 25)),
        ("sum", SUM),
        ("similarity", SIMILARITY),
    )
    for name, task in tasks:
        yield (
            f"message of a {name} task",
            Subject(
                Message(
                    wire.task_message(task).SerializeToString(),
                    lambda data, terms=task.terms: wire.task(decoded(tasks_pb2.Task, data), terms),
                    lambda parsed: wire.task_message(parsed).SerializeToString(),
                    lambda parsed, terms=task.terms: (
                        parsed.terms == terms and parsed.identifier != ""
                    ),
                ),
                exact=False,
            ),
        )

    def agreed(data: bytes) -> Terms:
        wire.check_agreement(decoded(terms_pb2.Agreement, data), TERMS, "somebody")
        return TERMS

    yield (
        "message of an agreement",
        Subject(
            Message(
                wire.agreement(TERMS).SerializeToString(),
                agreed,
                lambda parsed: wire.agreement(parsed).SerializeToString(),
                lambda parsed: True,
            ),
            exact=False,
        ),
    )
    yield (
        "upload",
        Subject(
            Message(
                _frames(b"some payload that is sent in chunks" * 40),
                _gathered,
                _frames,
                lambda parsed: len(parsed) == 35 * 40,
            ),
            exact=False,
        ),
    )


def _frames(payload: bytes) -> bytes:
    """An upload as a sequence of messages, each behind its length, as HTTP/2 carries them."""
    pieces = [payload[start : start + 500] for start in range(0, len(payload), 500)]
    header = compute_node_pb2.ContributionHeader(
        task_id=bytes.fromhex(BLOCKS.identifier), side=1, manifest=transfer.manifest(payload)
    )
    requests = [
        compute_node_pb2.ContributeRequest(header=header),
        *(compute_node_pb2.ContributeRequest(chunk=piece) for piece in pieces),
    ]
    sent = [request.SerializeToString() for request in requests]
    return b"".join(len(each).to_bytes(4, "big") + each for each in sent)


def _gathered(data: bytes) -> bytes:
    requests, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        requests.append(decoded(compute_node_pb2.ContributeRequest, data[at + 4 : at + 4 + size]))
        at += 4 + size
    if not requests or requests[0].WhichOneof("content") != "header":
        raise MalformedMessage("an upload starts with another message")
    wire.side_name(requests[0].header.side)
    wire.identifier_text(requests[0].header.task_id)
    chunks = (request.chunk for request in requests[1:])
    return transfer.gather(requests[0].header.manifest, chunks, transfer.Limits(1 << 16))


def _texts() -> Iterator[tuple[str, Subject]]:
    yield (
        "terms",
        text(TERMS.to_json(), Terms.from_json, lambda parsed: parsed.to_json()),
    )
    allowed = AllowedCertificates((AllowedCertificate("0a" * 32, "grocer"),))
    yield (
        "allowed certificates",
        text(allowed.to_text(), AllowedCertificates.from_text, lambda parsed: parsed.to_text()),
    )
    uri = party_uri(TERMS.identifier, "retailer", "grocer")
    yield (
        "URI of a party",
        text(
            uri,
            parse_party_uri,
            lambda parsed: party_uri(parsed.identifier, parsed.role, parsed.name),
        ),
    )
    empty = Ledger(TERMS.fingerprint, 256)
    ledger = empty
    for number in range(3):
        ledger = ledger.debit(
            epoch="0e" * 32, task=f"{number:064x}", ciphertexts=2, noise_multiplier=0.0, time="now"
        )
    yield "ledger", text(ledger.to_text(), empty.with_text, lambda parsed: parsed.to_text())
    log, head = b"", AuditHead()
    for number in range(1, 4):
        line = f'{{"number": {number}, "event": "join", "previous": "{head.digest}"}}'.encode()
        log, head = log + line + b"\n", AuditHead(number, digest_of(line))

    def audited(data: bytes) -> bytes:
        verify(data, head, latest=True)
        return data

    yield (
        "audit log",
        # Only the last line may be another: nobody but the head knows it.
        Subject(Message(log, audited, lambda parsed: parsed, lambda parsed: parsed == log)),
    )
    assert START == "0" * 64
