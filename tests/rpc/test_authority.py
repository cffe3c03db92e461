"""Which role may call which method, on both transports (controls C02 and C03)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from coalitions import Coalition, columns, operand, role_of

from hecf.api.v1 import compute_node_pb2, key_holder_pb2
from hecf.errors import HecfError, PermissionDenied
from hecf.he.plan import LEFT
from hecf.protocol.tasks import GramTask, ScoreTask, SumTask
from hecf.rpc import authority
from hecf.rpc.authority import ALLOWED
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER, RETAILER

NODE = "/hecf.v1.ComputeNodeService/"
HOLDER = "/hecf.v1.KeyHolderService/"
Open = Callable[..., Coalition]


def calls_of(coalition: Coalition, name: str) -> dict[str, Callable[[], object]]:
    """Every method of both services, called with suitable arguments under a party's name."""
    terms, node, holder = coalition.terms, coalition.node(name), coalition.key_holder(name)
    gram, score = GramTask(terms), ScoreTask(terms, "birch", (0, 4, 8), 30)
    total = SumTask(terms, "birch", "counts", 3, 1.0)
    data = operand(coalition, gram, LEFT, columns(terms, 1))
    return {
        NODE + "Join": lambda: node.join(terms),
        NODE + "PublishKey": lambda: node.publish_key(terms, coalition.public_key),
        NODE + "Declare": lambda: node.declare(score),
        NODE + "AwaitTask": lambda: node.await_task(terms, "score/cedar"),
        NODE + "Contribute": lambda: node.contribute(gram, LEFT, data),
        NODE + "GetUpload": lambda: node.contributed(gram, LEFT),
        NODE + "CloseTask": lambda: node.close_task(total),
        NODE + "AbortTask": lambda: node.abort_task(score),
        NODE + "FetchResult": lambda: node.fetch(gram, "alder/birch"),
        NODE + "FetchMask": lambda: node.fetch_mask(score),
        HOLDER + "Join": lambda: holder.join(terms),
        HOLDER + "GetPublicKey": lambda: holder.public_key(terms),
        HOLDER + "Commit": lambda: holder.commit(gram, LEFT, "0a" * 32, "0b" * 32),
        HOLDER + "Release": lambda: holder.release_scores(score),
    }


def denied(call: Callable[[], object]) -> bool:
    try:
        call()
    except HecfError as error:
        return isinstance(error, PermissionDenied) and "may not call this method" in str(error)
    return False


def test_every_method_admits_the_roles_of_the_table_only(start: Open) -> None:
    coalition = start(patience=0.2)
    # The roles that may do least come first, so that what they must not change can be seen.
    for name in (COMPUTE_NODE, KEY_HOLDER, "birch"):
        calls = calls_of(coalition, name)
        assert calls.keys() == ALLOWED.keys()
        for method, call in calls.items():
            assert denied(call) == (role_of(name) not in ALLOWED[method]), (method, name)
        if name != "birch":
            assert coalition.stored() == 0
            assert coalition.debits == []


def test_the_table_says_who_may_do_what() -> None:
    # Written down a second time on purpose: a change of the table must be a change here.
    both, retailer, holder = {RETAILER, KEY_HOLDER}, {RETAILER}, {KEY_HOLDER}
    assert dict(ALLOWED) == {
        NODE + "Join": both,
        NODE + "PublishKey": holder,
        NODE + "Declare": retailer,
        NODE + "AwaitTask": retailer,
        NODE + "Contribute": retailer,
        NODE + "GetUpload": retailer,
        NODE + "CloseTask": retailer,
        NODE + "AbortTask": retailer,
        NODE + "FetchResult": both,
        NODE + "FetchMask": retailer,
        HOLDER + "Join": retailer,
        HOLDER + "GetPublicKey": retailer,
        HOLDER + "Commit": retailer,
        HOLDER + "Release": retailer,
    }


def test_the_table_has_exactly_the_methods_of_the_protos() -> None:
    services = [
        *compute_node_pb2.DESCRIPTOR.services_by_name.values(),
        *key_holder_pb2.DESCRIPTOR.services_by_name.values(),
    ]
    methods = {
        f"/{service.full_name}/{method.name}" for service in services for method in service.methods
    }
    assert methods == ALLOWED.keys()


def test_a_method_that_is_missing_from_the_table_is_denied_to_all(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    coalition = start()
    coalition.node("birch").join(coalition.terms)
    shorter = {method: roles for method, roles in ALLOWED.items() if not method.endswith("/Join")}
    monkeypatch.setattr(authority, "ALLOWED", shorter)
    for name in ("birch", KEY_HOLDER):
        with pytest.raises(PermissionDenied, match="may not call this method"):
            coalition.node(name).join(coalition.terms)
