"""Sums that the key holder decrypts under a mask: Paillier in the default topology."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from coalitions import RETAILERS, TRANSPORTS, Coalition, make_terms

from hecf.errors import MalformedMessage, UnknownTask
from hecf.he.blinding import MaskSeed
from hecf.he.plan import LEFT
from hecf.he.scheme import scheme_by_name
from hecf.measure import Measurements
from hecf.protocol.contribution import bound
from hecf.protocol.released import ReleasedBlindedSum, ReleasedSum
from hecf.protocol.tasks import TOTAL, SumTask
from hecf.recipes.horizontal import HorizontalRetailer, received_sum
from hecf.rpc.identity import KEY_HOLDER

TERMS = make_terms(scheme="paillier", topology="coalition-key-blinded")
VALUES = 40


@pytest.fixture(params=sorted(TRANSPORTS))
def coalition(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Coalition]:
    made = TRANSPORTS[request.param](TERMS, tmp_path)
    yield made
    made.close()


def task(**changes: object) -> SumTask:
    content = {"label": "counts", "values": VALUES, "value_bound": 1000.0} | changes
    return SumTask(TERMS, "alder", **content)


def contribute(coalition: Coalition, agreed: SumTask, name: str, vector: np.ndarray) -> None:
    scheme = scheme_by_name("paillier")
    encryptor = scheme.encryptor(agreed.plan.parameters, coalition.public_key)
    encrypted = encryptor.encrypt(encryptor.encode(agreed.plan, LEFT, vector))
    coalition.contribute(
        name, agreed, LEFT, bound(agreed, LEFT, encrypted.to_bytes(), coalition.key)
    )


def vectors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    return {name: random.integers(-900, 900, VALUES).astype(np.float64) for name in RETAILERS}


def test_retailers_sum_and_the_key_holder_reads_nothing(coalition: Coalition) -> None:
    content = vectors()

    def take_part(name: str) -> np.ndarray:
        node, holder = coalition.node(name), coalition.key_holder(name)
        retailer = HorizontalRetailer(TERMS, name, node, holder, Measurements())
        return retailer("counts", content[name], value_bound=1000.0, whole=True)

    with ThreadPoolExecutor(3) as pool:
        for total in pool.map(take_part, RETAILERS):
            np.testing.assert_array_equal(total, sum(content.values()))
    assert coalition.holder_service.released["masked sums"] == VALUES
    assert coalition.holder_service.released["sum numbers"] == 0


def test_the_mask_goes_to_recipients_and_to_them_only(coalition: Coalition) -> None:
    agreed, content = task(recipients=("alder", "birch")), vectors()
    coalition.node("alder").declare(agreed)
    for name in RETAILERS:
        contribute(coalition, agreed, name, content[name])
    released = coalition.key_holder("birch").release_sum(agreed)
    assert isinstance(released, ReleasedBlindedSum)
    seed = coalition.node("birch").fetch_mask(agreed)
    assert coalition.node("alder").fetch_mask(agreed).data == seed.data
    with pytest.raises(UnknownTask):
        coalition.node("cedar").fetch_mask(agreed)
    again = released.unblind(seed, coalition.public_key)
    np.testing.assert_array_equal(again.values, sum(content.values()))
    assert again.contributors == RETAILERS
    with pytest.raises(MalformedMessage):
        released.unblind(MaskSeed(secrets.token_bytes(32)), coalition.public_key)


def test_what_the_key_holder_fetches_is_no_sum_to_it(tmp_path: Path) -> None:
    coalition = Coalition(TERMS, tmp_path)
    agreed = task(values=1)
    coalition.node("alder").declare(agreed)
    for name in RETAILERS:
        contribute(coalition, agreed, name, np.array([5.0]))
    computed = coalition.node(KEY_HOLDER).fetch(agreed, TOTAL)
    # As an honest-but-curious key holder would read it: masked bytes are of another kind.
    with pytest.raises(MalformedMessage):
        scheme_by_name("paillier").operand(agreed.plan, LEFT, computed.data)
    assert coalition.node(KEY_HOLDER).fetch(agreed, TOTAL).data == computed.data


def test_a_sum_without_some_contributors_is_unmasked_and_says_so(tmp_path: Path) -> None:
    coalition = Coalition(TERMS, tmp_path)
    agreed, content = task(), vectors()
    coalition.node("alder").declare(agreed)
    for name in ("alder", "cedar"):
        contribute(coalition, agreed, name, content[name])
    coalition.node("alder").close_task(agreed)
    node, holder = coalition.node("birch"), coalition.key_holder("birch")
    total = received_sum(agreed, node, holder, coalition.public_key)
    assert total.contributors == ("alder", "cedar")
    np.testing.assert_array_equal(total.values, content["alder"] + content["cedar"])


def test_released_bytes_are_those_of_their_task_and_form(tmp_path: Path) -> None:
    coalition = Coalition(TERMS, tmp_path)
    agreed = task()
    coalition.node("alder").declare(agreed)
    for name in RETAILERS:
        contribute(coalition, agreed, name, vectors()[name])
    data = coalition.key_holder("alder").release_sum(agreed).to_bytes(agreed)
    assert ReleasedBlindedSum.from_bytes(agreed, data).to_bytes(agreed) == data
    for changed in (data[:-1], data + b"0", data[:40] + b"\2" + data[41:], b""):
        with pytest.raises(MalformedMessage):
            ReleasedBlindedSum.from_bytes(agreed, changed)
    with pytest.raises(MalformedMessage):
        ReleasedSum.from_bytes(agreed, data)


def test_readable_sums_are_those_of_the_other_topologies_and_schemes() -> None:
    assert task().blinded
    for changes in ({"topology": "coalition-key"}, {"scheme": "clear"}, {"scheme": "ckks"}):
        terms = make_terms(**({"scheme": "paillier", "topology": TERMS.topology} | changes))
        assert not SumTask(terms, "alder", "counts", 4, 1.0).blinded
