"""A retailer's Python session with a compute node and a key holder that run as processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import COMPUTE_NODE, KEY_HOLDER, Provisioned, Running, make_coalition
from retail_logs import FRANCHISES as DATA
from retail_logs import ITEMS
from scipy.sparse import csr_array, vstack
from sklearn.base import clone

import hecf
from hecf.coalition.connected import ConnectedCoalition
from hecf.errors import ConfigurationError, InvalidInput, Mismatch
from hecf.kits.kit import Kit
from hecf.protocol.tasks import SIMILARITY_PRECISION, has_gram_task

README = Path(__file__).resolve().parents[2] / "README.md"
MODELS = (
    (hecf.MostPopular(), 0.0),
    (hecf.ItemKNN(K=5), 0.0),
    (hecf.EASE(penalty=20.0), 0.0),
    (hecf.AlternatingLeastSquares(factors=4, iterations=2), 1e-5),
    (hecf.PureSVD(factors=4), 0.0),
)


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    return make_coalition(
        tmp_path_factory.mktemp("connected") / "coalition",
        retailers=tuple(DATA),
        scheme="ckks",
        most_shoppers=128,
    )


@pytest.fixture(scope="module")
def retailers(provisioned: Provisioned) -> Iterator[dict[str, ConnectedCoalition]]:
    with Running(provisioned) as running:
        running.start(COMPUTE_NODE, KEY_HOLDER)
        yield {
            name: hecf.Coalition.connect(provisioned.party(name), frame, catalogue=ITEMS)
            for name, frame in DATA.items()
        }


def together(retailers, model, session: str):
    """Every retailer's own answer, each from a thread: they wait for each other."""
    with ThreadPoolExecutor(len(retailers)) as pool:
        fits = [pool.submit(one.fit, model, session=session) for one in retailers.values()]
        return [fit.result() for fit in fits]


@pytest.mark.parametrize(("model", "tolerance"), MODELS, ids=lambda value: repr(value))
def test_running_parties_fit_the_pooled_model(retailers, model, tolerance) -> None:
    answers = together(retailers, model, type(model).__name__.lower())
    assert [list(answer) for answer in answers] == [[name] for name in DATA]
    pooled = vstack([one.user_items[name].counts for name, one in retailers.items()])
    twin = clone(model).fit(csr_array(pooled))
    fitted = answers[-1]["west"]
    mine = retailers["west"].user_items["west"]
    users = np.arange(len(mine.user_ids))
    everything = {"N": len(ITEMS), "filter_already_liked_items": False, "recalculate_user": True}

    def scores(of) -> np.ndarray:
        ids, found = of.recommend(users, mine, **everything)
        return np.take_along_axis(found, np.argsort(ids, axis=1), axis=1)

    np.testing.assert_allclose(scores(fitted), scores(twin), rtol=0, atol=tolerance)
    alone = clone(model).fit(mine)
    assert np.abs(scores(alone) - scores(twin)).max() > 100 * max(tolerance, 1e-6)
    assert fitted.item_ids == tuple(ITEMS)
    assert retailers["west"].measurements.bytes["sent"] > 0


def test_look_alikes_of_running_parties_are_the_nearest(retailers) -> None:
    models = {
        name: answer[name]
        for name, answer in zip(DATA, together(retailers, hecf.PureSVD(4), "axes"), strict=True)
    }
    users, count = np.array([3, 1, 7]), 3
    north, south = retailers["north"], retailers["south"]
    candidates = len(models["south"].user_directions)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(south.answer_similar_users, models["south"], "north", count)
        found, scores = north.similar_users(models["north"], users, "south", candidates, count)
        reply.result()
    exact = models["north"].user_directions[users] @ models["south"].user_directions.T
    tolerance = 6 * SIMILARITY_PRECISION
    np.testing.assert_allclose(scores, np.take_along_axis(exact, found, 1), rtol=0, atol=tolerance)
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1)[:, :count], atol=tolerance)
    assert not np.allclose(scores, np.sort(exact, axis=1)[:, :count], atol=tolerance)
    with pytest.raises(InvalidInput, match="userid is out of range"):
        north.similar_users(models["north"], 10_000, "south", candidates)
    with ThreadPoolExecutor(1) as pool:
        asked = north.similar_users, models["north"], 3, "south", candidates, 5
        question = pool.submit(*asked, session="more")
        with pytest.raises(Mismatch, match="than agreed"):
            south.answer_similar_users(models["south"], "north", 4, session="more")
        south.answer_similar_users(models["south"], "north", 5, session="more")
        one, values = question.result()
    assert one.shape == values.shape == (5,)


def test_the_example_of_the_readme_joins(provisioned, retailers, monkeypatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    monkeypatch.chdir(provisioned.folder)
    names = {"hecf": hecf, "north": DATA["north"], "items": ITEMS}
    others = [one for name, one in retailers.items() if name != "north"]
    with ThreadPoolExecutor(len(others)) as pool:
        fits = [pool.submit(one.fit, hecf.EASE(penalty=500), session="june") for one in others]
        exec(compile(blocks[1], "README.md", "exec"), names)
        answers = [fit.result() for fit in fits]
    np.testing.assert_array_equal(names["model"].weights, answers[0]["south"].weights)


def test_a_kit_names_the_file_and_neither_members_nor_factors(provisioned) -> None:
    kit = Kit.load(provisioned.party("north"))
    assert kit.configuration.files.directory is None
    assert not has_gram_task(kit.terms)
    assert not list(provisioned.kits["north"].glob("*pseudonym*"))
    named = hecf.Coalition.connect(kit)
    counts = provisioned.counts["north"]
    assert named.item_ids == tuple(
        item
        for item, column in zip(provisioned.items["north"], counts.T, strict=True)
        if column.any()
    )
    assert named.user_items["north"].counts.sum() == counts.sum()
    assert repr(named) == "ConnectedCoalition('loyal', as 'north')"


def test_what_does_not_fit_a_kit_is_refused(provisioned) -> None:
    many = np.arange(129)
    frame = pd.DataFrame({"user_id": many, "item_id": many})
    with pytest.raises(InvalidInput, match="got 129, expected at most 128"):
        hecf.Coalition.connect(provisioned.party("north"), frame)
    with pytest.raises(ConfigurationError, match="kit of another role"):
        hecf.Coalition.connect(provisioned.party(KEY_HOLDER), DATA["north"])
