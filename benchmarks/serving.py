"""Latency of scoring and of training rounds at a compute node and a key holder that are up.

Usage: ``python -m benchmarks.serving scores`` and ``python -m benchmarks.serving training``. Gram
blocks are released once per coalition, and a retailer asks another once, so every combination of
sizes has a coalition of its own, made and started before it is timed; see
:mod:`benchmarks.latency` for what can be repeated at servers of one's own.

A request for scores is what an asker does under its own key: upload key and query, wait, download
and decrypt. The owners' catalogues are there. A training round is what all retailers of a
coalition do side by side, from joining to every released Gram block.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import combinations, islice, permutations, product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import rng
from benchmarks.latency import positive, whole
from benchmarks.machine import machine
from benchmarks.open_loop import Request, offer, summary
from benchmarks.script import guarded
from benchmarks.services import services
from hecf.errors import InvalidInput, Mismatch
from hecf.he.keys import SecretKey
from hecf.he.modular import Float
from hecf.he.plan import LEFT
from hecf.he.product.item_model import ItemModel
from hecf.he.product.plan import ProductPlan
from hecf.he.scheme import streaming_scheme
from hecf.kits.connection import connected
from hecf.kits.kit import Kit
from hecf.measure import STAGES, Measurements
from hecf.protocol.ports import ComputeNode, KeyHolder
from hecf.protocol.tasks import KEY, MODEL, SCORES, QueryTask
from hecf.protocol.terms import BLINDED, OWN_KEY
from hecf.recipes.contribution import Contributor
from hecf.recipes.vertical import VerticalRetailer
from parties.commands.guard import as_text, check_target, write_json
from parties.system.lifetime import raise_on_signals

SHOPPERS_ASKED = 8
RETAILERS = 16
"""Of a coalition that scores: 240 ordered pairs, each of which may ask once."""

_TOLERANCE = 8.0
"""Deviations of flooding noise within which every score must lie."""

Ports = tuple[ComputeNode, KeyHolder]


class Asker:
    """Asks for scores, another pair of retailers each time.

    Parameters
    ----------
    kits : sequence of Kit
        Of all retailers, with the topology of own keys.
    items : int
        Size of every catalogue.
    requests : int
        Pairs that will ask, of those that there are; their owners offer everything at once.
    warm : bool
        Whether keys are drawn before they are needed.
    stack : ExitStack
        Closes the connections.
    """

    def __init__(
        self, kits: Sequence[Kit], items: int, requests: int, *, warm: bool, stack: ExitStack
    ) -> None:
        terms = kits[0].terms
        self.measurements = Measurements(STAGES)
        self._scheme = streaming_scheme(terms.scheme)
        self._nodes = {
            kit.party.name: stack.enter_context(connected(kit, self.measurements))[0]
            for kit in kits
        }
        for node in self._nodes.values():
            node.join(terms)
        self._model = _model(terms.factors, items)
        pairs = islice(permutations(terms.retailers, 2), requests)
        self._tasks = [QueryTask(terms, *pair, SHOPPERS_ASKED, items) for pair in pairs]
        plan = self._tasks[0].plan
        self._keys = [self._key(plan) for _ in self._tasks] if warm else []
        for task in self._tasks:
            node = self._nodes[task.owner]
            node.declare(task)
            Contributor(node, None).contribute(task, MODEL, lambda: self._model.to_bytes(plan))

    def ask(self, number: int) -> None:
        """Have one pair ask.

        Raises
        ------
        Mismatch
            If the scores are not those of the shoppers.
        """
        task = self._tasks[number]
        node, plan = self._nodes[task.asker], task.plan
        shoppers = rng(number).uniform(-1, 1, (plan.inner, plan.left))
        secret = self._keys[number] if self._keys else self._key(plan)
        querier = self._scheme.querier(secret, secrets.token_bytes)
        contributor = Contributor(node, None)
        contributor.contribute(task, KEY, querier.public_key)
        contributor.contribute(task, LEFT, lambda: querier.encrypt(plan, shoppers).to_bytes())
        answer = self._scheme.product(plan, node.fetch(task, SCORES).data)
        scores = querier.decrypt(answer)
        _check(scores, shoppers.T @ self._model.items + self._model.bias, plan)

    def _key(self, plan: ProductPlan) -> SecretKey:
        secret: SecretKey = self._scheme.generate_keys(plan.parameters)[0]
        return secret


def scores(
    *,
    items: Sequence[int],
    factors: Sequence[int],
    clients: Sequence[int],
    rates: Sequence[float],
    seconds: float,
    scheme: str = "ckks",
) -> list[dict[str, Any]]:
    """Offer requests for scores by the clock, for every combination with cold and with warm keys.

    Raises
    ------
    HecfError
        If a server cannot be started or reached, or too many requests would fall due.
    """
    found = []
    pairs = RETAILERS * (RETAILERS - 1)
    # One pair more than falls due asks first, which is not counted.
    due = max(int(rate * seconds) for rate in rates) + 1
    if due > pairs:
        raise InvalidInput("too many requests fall due", got=due, expected=f"at most {pairs}")
    for size, width, many, rate, warm in product(items, factors, clients, rates, (False, True)):
        with ExitStack() as stack:
            kits = stack.enter_context(
                services(
                    retailers=RETAILERS,
                    # A directory has more members than there are factors.
                    shoppers=SHOPPERS_ASKED + width,
                    factors=width,
                    topology=OWN_KEY,
                    scheme=scheme,
                )
            )
            count = int(rate * seconds)
            asker = Asker(kits, size, count + 1, warm=warm, stack=stack)
            start = time.perf_counter()
            asker.ask(count)
            first = time.perf_counter() - start
            before = asker.measurements.bytes
            requests = offer([asker.ask] * many, rate=rate, seconds=seconds)
            after = asker.measurements.bytes
            found.append(
                {
                    "operation": "score",
                    "items": size,
                    "factors": width,
                    "shoppers": SHOPPERS_ASKED,
                    "clients": many,
                    "rate": rate,
                    "keys": "warm" if warm else "cold",
                    "first_seconds": first,
                    **summary(requests),
                    "a_request": {
                        f"bytes_{way}": (after[way] - before[way]) / len(requests) for way in after
                    },
                }
            )
    return found


def training(
    *,
    shoppers: Sequence[int],
    retailers: Sequence[int],
    factors: Sequence[int],
    rounds: int,
    scheme: str = "ckks",
) -> list[dict[str, Any]]:
    """Time rounds of training, each at servers of its own.

    Raises
    ------
    HecfError
        If a server cannot be started or reached.
    Mismatch
        If a released block is not that of the embeddings.
    """
    found = []
    for size, many, width in product(shoppers, retailers, factors):
        requests, moved = [], {"sent": 0, "received": 0}
        for _ in range(rounds):
            with services(
                retailers=many,
                shoppers=size,
                factors=width,
                topology=BLINDED,
                scheme=scheme,
            ) as kits:
                request, counted = _round(kits)
            requests.append(request)
            for way, count in counted.items():
                moved[way] += count
        shares = summary(requests)
        # Rounds do not follow each other at once: every one has servers of its own.
        del shares["answered_a_second"]
        found.append(
            {
                "operation": "training",
                "shoppers": size,
                "retailers": many,
                "factors": width,
                **shares,
                "a_request": {f"bytes_{way}": count / rounds for way, count in moved.items()},
            }
        )
    return found


def _round(kits: Sequence[Kit]) -> tuple[Request, dict[str, int]]:
    terms = kits[0].terms
    measurements = Measurements(STAGES)
    rows = {
        name: _orthonormal(terms.shoppers, terms.factors, n)
        for n, name in enumerate(terms.retailers)
    }
    with ExitStack() as stack:
        ports = [stack.enter_context(connected(kit, measurements)) for kit in kits]
        for node, key_holder in ports:
            node.join(terms)
            key_holder.join(terms)

        def take_part(place: int) -> Any:
            name = kits[place].party.name
            retailer = VerticalRetailer(terms, name, *ports[place], measurements)
            return retailer.blocks(retailer.join(), rows[name])

        pool = stack.enter_context(ThreadPoolExecutor(len(kits)))
        start = time.perf_counter()
        blocks, *_ = pool.map(take_part, range(len(kits)))
        end = time.perf_counter()
    for pair in combinations(terms.retailers, 2):
        error = float(np.abs(blocks[pair] - rows[pair[0]].T @ rows[pair[1]]).max())
        if error > 1e-3:
            raise Mismatch("a released block is not that of the embeddings", got=f"{error:.1e}")
    return Request(start, start, end), measurements.bytes


def _check(scores: Float, exact: Float, plan: ProductPlan) -> None:
    error = float(np.abs(scores - exact).max())
    allowed = plan.error_bound + _TOLERANCE * plan.flooding
    if error > allowed:
        raise Mismatch("scores are not those of the shoppers", got=f"{error:.1e}", expected=allowed)


def _model(factors: int, items: int) -> ItemModel:
    random = rng(1)
    model, _ = ItemModel.scaled(
        random.standard_normal((factors, items)), random.standard_normal(items)
    )
    return model


def _orthonormal(rows: int, columns: int, seed: int) -> Float:
    matrix: Float = np.linalg.qr(rng(seed).standard_normal((rows, columns)))[0]
    return matrix


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print JSON; the exit code says whether every request was answered rightly."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    commands = parser.add_subparsers(required=True)
    of_scores = commands.add_parser("scores", help="by items, factors, clients, rate and keys")
    of_scores.set_defaults(measure=scores)
    of_scores.add_argument("--items", type=whole, nargs="+", default=[1000, 10_000])
    of_scores.add_argument("--factors", type=whole, nargs="+", default=[16])
    of_scores.add_argument("--clients", type=whole, nargs="+", default=[1, 4])
    of_scores.add_argument("--rates", type=positive, nargs="+", default=[1.0, 4.0])
    of_scores.add_argument("--seconds", type=positive, default=10.0, help="for each combination")
    of_training = commands.add_parser("training", help="by shoppers, retailers and factors")
    of_training.set_defaults(measure=training)
    of_training.add_argument("--shoppers", type=whole, nargs="+", default=[1000, 10_000])
    of_training.add_argument("--retailers", type=whole, nargs="+", default=[2, 4, 8])
    of_training.add_argument("--factors", type=whole, nargs="+", default=[8])
    of_training.add_argument("--rounds", type=whole, default=3, help="for each combination")
    for command in (of_scores, of_training):
        command.add_argument("--scheme", choices=["ckks", "clear"], default="ckks")
        command.add_argument("--json", type=Path, help="write results here too")
    options = vars(parser.parse_args(arguments))
    measure: Callable[..., list[dict[str, Any]]] = options.pop("measure")
    target = options.pop("json")
    raise_on_signals()

    def work() -> int:
        check_target(target)
        found = measure(**options)
        content = {"machine": machine(), "latencies": found}
        write_json(target, content)
        sys.stdout.write(as_text(content))
        return int(any(each["failed"] for each in found))

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
