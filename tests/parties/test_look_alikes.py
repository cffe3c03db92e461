"""`hecf lookalike` between running parties, and what it refuses before anything is sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import COMPUTE_NODE, KEY_HOLDER, Provisioned, Running, make_coalition
from typer.testing import CliRunner

import hecf
from hecf.kits.kit import Kit
from hecf.recommenders import PureSVD
from parties import look_alikes
from parties.cli import app

NAMES = ("north", "south")


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    folder = tmp_path_factory.mktemp("look-alikes") / "coalition"
    made = make_coalition(folder, retailers=NAMES, most_shoppers=256)
    # Different shoppers of one catalogue.
    for name, shoppers in zip(NAMES, (40, 55), strict=True):
        random = np.random.default_rng(shoppers)
        bought = np.argwhere(random.random((shoppers, 12)) < 0.4)
        frame = pd.DataFrame(bought, columns=["user_id", "item_id"])
        frame.assign(user_id=frame["user_id"] + 1000).to_csv(folder / f"{name}.csv", index=False)
    return made


@pytest.fixture(scope="module")
def models(parties: Provisioned) -> dict[str, PureSVD]:
    """Models of the two on the files of their kits, fitted in one process and saved."""
    frames = {name: pd.read_csv(parties.folder / f"{name}.csv") for name in NAMES}
    fitted = hecf.Coalition(frames, scheme="clear").fit(PureSVD(factors=3))
    for name, model in fitted.items():
        model.save(saved(parties, name))
    return fitted


def saved(parties: Provisioned, name: str) -> Path:
    return parties.folder / f"{name}.npz"


def refused(parties: Provisioned, *options: str) -> str:
    kit = str(parties.party("north"))
    result = CliRunner().invoke(app, ["lookalike", *options, "--kit", kit])
    assert result.exit_code == 1
    assert result.stderr.count("error: ") == 1
    return result.stderr


def test_the_nearest_rows_of_the_other_are_written(parties, models, tmp_path) -> None:
    kits = {name: Kit.load(parties.party(name)) for name in NAMES}
    ids = sorted(pd.read_csv(parties.folder / "north.csv")["user_id"].unique())
    users, rows, out = [str(ids[5]), str(ids[2])], [5, 2], tmp_path / "found.csv"
    steps: list[str] = []
    theirs = models["south"].user_directions
    with Running(parties) as running, ThreadPoolExecutor(1) as pool:
        running.start(COMPUTE_NODE, KEY_HOLDER)
        model = saved(parties, "south")
        reply = pool.submit(
            look_alikes.answer, kits["south"], model, "north", 4, "may", steps.append
        )
        told = look_alikes.ask(
            *(kits["north"], saved(parties, "north"), users, "south", len(theirs), 4),
            *("may", out, steps.append),
        )
        assert reply.result()["candidates"] == len(theirs)
    found = pd.read_csv(out)
    assert found["user_id"].astype(str).tolist() == np.repeat(users, 4).tolist()
    assert found["rank"].tolist() == [1, 2, 3, 4] * 2
    exact = models["north"].user_directions[rows] @ theirs.T
    best = np.argsort(-exact, axis=1)[:, :4]
    assert found["row"].tolist() == best.ravel().tolist()
    assert found["row"].tolist() != np.argsort(exact, axis=1)[:, :4].ravel().tolist()
    np.testing.assert_allclose(found["score"], np.sort(exact)[:, :-5:-1].ravel(), atol=1e-3)
    assert told["asked"] == 2
    assert told["bytes"]["sent"] > 0
    assert {"asking south", "answering north"} <= set(steps)
    assert out.stat().st_mode & 0o777 == 0o600


def test_bad_input_is_one_sentence_and_nothing_is_sent(parties, models, tmp_path) -> None:
    users = tmp_path / "users.txt"
    out = str(tmp_path / "found.csv")
    asked = ["ask", "south", "--users", str(users), "--candidates", "9", "--out", out]
    north = ["--model", str(saved(parties, "north"))]
    assert "'users.txt' cannot be read" in refused(parties, *asked, *north)
    users.write_text("\n \n")
    assert "names no shopper" in refused(parties, *asked, *north)
    users.write_text("nobody\n")
    assert "not in the interactions of the kit: got 1" in refused(parties, *asked, *north)
    other = ["--model", str(saved(parties, "south"))]
    assert "fitted on other shoppers" in refused(parties, "answer", "south", *other)
    popular = tmp_path / "popular.npz"
    frame = pd.read_csv(parties.folder / "north.csv")
    hecf.MostPopular().fit(hecf.Coalition({"a": frame, "b": frame}).user_items["a"]).save(popular)
    assert "compares no shoppers" in refused(parties, "answer", "south", "--model", str(popular))
    assert not (tmp_path / "found.csv").exists()
