"""From decrypted panels to the most similar rows, through the gate."""

from __future__ import annotations

import pickle
import secrets

import numpy as np
import pytest
from encryption import OWN, similarity_plan
from similarity_samples import (
    TOY,
    decryptor,
    encrypted,
    evaluator,
    panels_of,
    toy_plan,
    unit_rows,
)

from hecf.errors import (
    InvalidInput,
    Mismatch,
    ReleaseRefused,
)
from hecf.he.similarity.planner import plan_similarity
from hecf.he.similarity.scores import similarity_matrix, top_similar
from hecf.privacy.policy import ReleasePolicy
from hecf.privacy.release import ReleaseGate


@pytest.mark.parametrize("n", [1, 7, 2300])
def test_the_best_are_selected_while_panels_stream(n: int) -> None:
    plan = toy_plan(3, 1100, 2300)
    matrix = np.random.default_rng(5).standard_normal((1100, 2300))
    top = top_similar(plan, iter(panels_of(plan, matrix)), n)
    order = np.argsort(-matrix, axis=1)[:, :n]
    assert np.array_equal(top.columns, order)
    assert np.array_equal(top.scores, np.take_along_axis(matrix, order, axis=1))


def test_panels_must_be_complete_and_their_number_possible() -> None:
    plan = toy_plan(3, 1100, 2)
    panels = panels_of(plan, np.zeros((1100, 2)))
    for wrong in (panels[:1], panels[::-1], [*panels, panels[0]]):
        with pytest.raises(Mismatch):
            top_similar(plan, wrong, 1)
        with pytest.raises(Mismatch):
            similarity_matrix(plan, wrong)
    with pytest.raises(Mismatch):
        similarity_matrix(toy_plan(3, 1100, 2, left_scale_bits=9), panels)
    for n in (0, 3):
        with pytest.raises(InvalidInput):
            top_similar(plan, panels, n)


def test_a_release_is_flooded() -> None:
    plan = plan_similarity(scheme="ckks", inner=4, left=300, right=200, precision=1e-3, releases=4)
    assert plan.concealed
    exact = np.random.default_rng(6).uniform(-1, 1, (300, 200))
    panels = panels_of(plan, exact)
    for refuse in (similarity_matrix, lambda p, x: top_similar(p, x, 3)):
        with pytest.raises(ReleaseRefused):
            refuse(plan, panels)
    gate = ReleaseGate(ReleasePolicy(2, 200), secrets.token_bytes)
    top = gate.most_similar(plan, panels, 100)
    released = top.scores
    noise = released - np.take_along_axis(exact, top.columns, axis=1)
    assert abs(noise.std() / plan.flooding - 1) < 0.05
    assert abs(noise.mean()) < 5 * plan.flooding / np.sqrt(noise.size)
    assert np.array_equal(released * 2.0**plan.grid_bits % 1, np.zeros_like(released))
    own = toy_plan(4, 3, 2)
    with pytest.raises(ReleaseRefused, match="own-key"):
        gate.most_similar(own, panels_of(own, np.zeros((3, 2))), 1)


def test_exact_values_and_keys_do_not_pickle() -> None:
    plan = toy_plan(3, 2, 2)
    for value in (panels_of(plan, np.zeros((2, 2)))[0], decryptor(TOY)):
        with pytest.raises(TypeError):
            pickle.dumps(value)
    assert "0." not in repr(panels_of(plan, np.zeros((2, 2)))[0])


def test_own_key_scores_need_no_flood_and_find_the_neighbours() -> None:
    plan = similarity_plan(inner=20, left=50, right=400)
    a, b = unit_rows(1, 50, 20), unit_rows(2, 400, 20)
    tiles = evaluator(plan).evaluate(*encrypted(plan, a, b))
    top = top_similar(plan, decryptor(OWN).panels(plan, tiles), 5)
    assert np.abs(top.scores - np.sort(a @ b.T, axis=1)[:, :-6:-1]).max() <= plan.error_bound
