"""A whole coalition: six processes over mutual TLS against one process, and a node's memory."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import node_memory
from benchmarks.harness import Job, Result, Timing, rng
from hecf.he.ckks import generate_keys
from hecf.he.matrices import EncryptedMatrix
from hecf.he.modular import Words
from hecf.he.plan import LEFT, RIGHT
from hecf.measure import STAGES
from hecf.protocol.contribution import bound, key_fingerprint
from hecf.protocol.tasks import GramTask, gram_plan
from hecf.protocol.terms import Terms
from hecf.rpc.store import BlockStore
from parties.demonstrations import loyalty_programme
from parties.demonstrations.loyalty_programme import DemoOptions

RETAILERS = ("first", "second")


def training_grpc(quick: bool) -> Result:
    """Train and serve the demonstration's coalition in six processes and in one.

    Seconds are those of the retailer that came last, from its joining to its recommendations, so
    that the start of processes does not count.
    """
    size = DemoOptions(shoppers=150, factors=4) if quick else DemoOptions()
    found = {}
    for transport, scheme in (("memory", "ckks"), ("grpc", "ckks"), ("grpc", "clear")):
        options = replace(size, transport=transport, scheme=scheme)
        found[transport, scheme] = loyalty_programme.run(options, lambda _: None)
    grpc, memory = found["grpc", "ckks"], found["memory", "ckks"]
    retailers = grpc["data"]["retailers"]
    ours, theirs = (float(results["seconds"]["taking_part"]) for results in (grpc, memory))
    return Result(
        job="training-grpc",
        timing=Timing((ours,)),
        baseline="the same services and recipe in memory, with encryption",
        baseline_timing=Timing((theirs,)),
        ratio=ours / theirs,
        mark=1.5,
        bytes={name: counts["sent"] for name, counts in grpc["bytes"].items()},
        up=sum(grpc["bytes"][name]["sent"] for name in retailers),
        down=sum(grpc["bytes"][name]["received"] for name in retailers),
        error=float(grpc["agreement"]["max_abs_score_error"]),
        parameters={**grpc["parameters"], "shoppers": grpc["data"]["shoppers"]},
        split={stage: grpc["seconds"][stage] for stage in STAGES},
        details={
            "split_is": "of all processes together, which work side by side",
            "seconds_by_stage_in_memory": memory["seconds"],
            "seconds_grpc_in_clear": found["grpc", "clear"]["seconds"]["taking_part"],
            "seconds_of_the_model_in_clear_numpy": grpc["seconds"]["clear"],
            "targets": grpc["targets"],
        },
    )


def node_memory_job(quick: bool) -> Result:
    """Compute one Gram block as the node's worker does, and watch its memory.

    The ratio is of bytes: what the process grew by at its peak over the ciphertexts in flight.
    """
    terms = Terms(
        coalition="bench",
        identifier="0" * 32,
        scheme="ckks",
        retailers=RETAILERS,
        shoppers=2_000 if quick else 50_000,
        directory="1" * 64,
        factors=8 if quick else 32,
    )
    plan = gram_plan(terms)
    _, public = generate_keys(plan.parameters)
    with tempfile.TemporaryDirectory(prefix="hecf-bench-") as name:
        folder = Path(name)
        (folder / node_memory.TERMS).write_text(terms.to_json())
        (folder / node_memory.PUBLIC_KEY).write_bytes(public.to_bytes())
        digests = []
        for side in (LEFT, RIGHT):
            words = _uniform(plan.operand_shape(side), plan.primes)
            operand = EncryptedMatrix(plan, side, words).to_bytes()
            contribution = bound(GramTask(terms), side, operand, key_fingerprint(public.to_bytes()))
            digests.append(BlockStore(folder).put(contribution))
        command = [sys.executable, "-m", "benchmarks.node_memory", name, *digests]
        done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603
    measured = json.loads(done.stdout)
    in_flight = plan.operand_bytes(LEFT) + plan.operand_bytes(RIGHT) + plan.result_bytes
    return Result(
        job="node-memory",
        timing=Timing((measured["seconds"],)),
        baseline="bytes of both operands and the result on the wire; seconds to read them",
        baseline_timing=Timing((measured["seconds_read"],)),
        ratio=measured["grown"] / in_flight,
        mark=3.0,
        bytes={"in_flight": in_flight, "peak": measured["peak"], "before": measured["before"]},
        up=plan.operand_bytes(LEFT) + plan.operand_bytes(RIGHT),
        down=plan.result_bytes,
        error=0.0,
        parameters={
            "ring_degree": plan.parameters.ring_degree,
            "primes": plan.primes,
            "sizes": (terms.shoppers, terms.factors, terms.factors),
        },
        split={"compute": measured["seconds"]},
        details={"unit_of_ratio": "bytes", "secrets": "none: residues are uniform"},
    )


def _uniform(shape: tuple[int, ...], primes: tuple[int, ...]) -> Words:
    """Residues as ciphertexts have them, to whoever has no key."""
    return rng(secrets.randbits(32)).integers(0, min(primes), shape, dtype="uint32")


JOBS = [Job("training-grpc", training_grpc), Job("node-memory", node_memory_job)]
