from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hecf.data import UserItems
from hecf.evaluation import evaluate
from hecf.recommenders import EASE, load_recommender
from parties.cli import app

ITEMS = 16


def log(seed: int, shoppers: int, share: float = 0.3) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    tastes = np.random.default_rng(9).standard_normal((3, ITEMS))
    chosen = generator.random((shoppers, ITEMS)) < share
    chosen &= generator.standard_normal((shoppers, 3)) @ tastes > -0.5
    rows, columns = chosen.nonzero()
    return pd.DataFrame(
        {
            "user_id": [f"{seed}-{row:03}" for row in rows],
            "item_id": [f"i{column:02}" for column in columns],
        }
    )


@pytest.fixture
def files(tmp_path):
    for seed, name in enumerate(("north", "south")):
        log(seed, 70).to_parquet(tmp_path / f"{name}.parquet")
    later = log(0, 80, 0.6)
    later.to_csv(tmp_path / "later.csv", index=False)
    return tmp_path


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def fit(files, scheme: str = "ckks"):
    call(
        *("fit", "ease", "--set", "penalty=12", "--scheme", scheme, "--out", files / scheme),
        *("--data", f"north={files / 'north.parquet'}"),
        *("--data", f"south={files / 'south.parquet'}", "--json", files / "fit.json"),
    )
    return files / scheme / "north.npz"


def test_fit_recommend_and_similar(files) -> None:
    path = fit(files)
    summary = json.loads((files / "fit.json").read_text())
    assert summary["scheme"] == "ckks"
    assert summary["items"] == ITEMS
    frames = [pd.read_parquet(files / f"{name}.parquet") for name in ("north", "south")]
    pooled = UserItems.from_frame(pd.concat(frames))
    twin = EASE(penalty=12.0).fit(pooled)
    np.testing.assert_array_equal(load_recommender(path).weights, twin.weights)
    north = UserItems.from_frame(frames[0]).with_items(pooled.item_ids)
    expected = twin.recommend(np.arange(len(north.user_ids)), north, N=3)
    for name in ("best.parquet", "best.csv"):
        arguments = ("--model", path, "--data", files / "north.parquet", "-n", 3)
        call("recommend", *arguments, "--out", files / name, "--json", files / "best.json")
        kind = pd.read_parquet if name.endswith("parquet") else pd.read_csv
        found = kind(files / name)
        assert list(found.columns) == ["user_id", "item_id", "score", "rank"]
        ids = np.array(pooled.item_ids)[expected[0]]
        assert found["item_id"].tolist() == ids.ravel().tolist()
        assert found["rank"].tolist()[:3] == [1, 2, 3]
        np.testing.assert_allclose(found["score"], expected[1].ravel(), rtol=1e-12)
        assert (files / name).stat().st_mode & 0o777 == 0o600
        assert len(json.loads((files / "best.json").read_text())) == len(found)
    call("similar", "--model", path, "--item", "i03", "-n", 4, "--json", files / "similar.json")
    rows = json.loads((files / "similar.json").read_text())
    call("similar", "--model", path, "--item", "i03", "-n", 4, "--out", files / "similar.csv")
    written = pd.read_csv(files / "similar.csv")
    assert list(written.columns) == ["item_id", "score", "rank"]
    for row, expected in zip(written.to_dict("records"), rows, strict=True):
        assert row == pytest.approx(expected)
    best = twin.similar_items(pooled.item_columns["i03"], N=4)[0]
    assert [row["item_id"] for row in rows] == [pooled.item_ids[index] for index in best]


@pytest.mark.parametrize("flags", [(), ("--new-only",)])
def test_clear_and_encrypted_are_judged_beside_each_other(files, flags) -> None:
    encrypted, clear = fit(files), fit(files, "clear")
    arguments = ("--data", files / "north.parquet", "--later", files / "later.csv", "-n", 4)
    out = ("--json", files / "quality.json", *flags)
    text = call("evaluate", "--model", encrypted, "--clear", clear, *arguments, *out)
    found = json.loads((files / "quality.json").read_text())
    assert found["clear"] == found["encrypted"]
    assert found["overlap"] == 1.0
    assert "the same items: 100.0%" in text
    model = load_recommender(encrypted)
    later = UserItems.from_frame(pd.read_csv(files / "later.csv")).with_items(model.item_ids)
    north = UserItems.from_frame(pd.read_parquet(files / "north.parquet"))
    known = north.with_users(later.user_ids).with_items(model.item_ids).counts
    scores = known.toarray() @ model.weights
    relevant = later.counts
    if flags:
        scores[known.nonzero()] = -np.inf
        relevant = (relevant - relevant.multiply(known)).tocsr()
        relevant.eliminate_zeros()
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    expected = evaluate(ids, relevant, history=known)
    for group, quality in expected.items():
        assert found["clear"][group] == pytest.approx(quality.as_dict())
    assert {"all", "warm", "cold"} == set(expected)
    call("evaluate", "--model", encrypted, *arguments, *out)
    assert json.loads((files / "quality.json").read_text()) == found["clear"]


def test_describe_says_sizes_and_no_ids(files) -> None:
    text = call("data", "describe", files / "north.parquet", "--json", files / "d.json")
    frame = pd.read_parquet(files / "north.parquet")
    found = json.loads((files / "d.json").read_text())
    assert found["users"] == frame["user_id"].nunique()
    assert found["interactions"] == len(frame)
    assert found["users an item"]["most"] == frame["item_id"].value_counts().max()
    assert found["items a user"]["median"] == frame["user_id"].value_counts().median()
    assert not any(user in text for user in frame["user_id"].unique())


EASE_FIT = ("fit", "ease", "--out", "m")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (EASE_FIT, "a fit needs either --data or --kit"),
        ((*EASE_FIT, "--data", "north"), "--data is not NAME=FILE"),
        (
            ("fit", "ease", "--out", "m", "--set", "l2=3", "--data", "a=b"),
            "no such setting: got l2=3",
        ),
        (
            ("fit", "ease", "--out", "m", "--set", "penalty=x", "--data", "a=b"),
            "cannot be read: got x",
        ),
        ((*EASE_FIT, "--data", "a=none.csv"), "there is no file 'none.csv'"),
        (("recommend", "--model", "none.npz", "--data", "a.csv"), "there is no file 'none.npz'"),
        (("similar", "--model", "M", "--item", "i99"), "the model has no such item: got i99"),
        (
            ("recommend", "--model", "M", "--data", "D", "--out", "x.txt"),
            "unknown format: got .txt",
        ),
        (("data", "describe", "none.parquet"), "there is no file"),
        (("data", "describe", "D", "--user-column", "member"), "there is no user column 'member'"),
    ],
)
def test_bad_input_is_one_sentence(files, monkeypatch, arguments, sentence) -> None:
    monkeypatch.chdir(files)
    replaced = {"M": str(fit(files, "clear")), "D": str(files / "north.parquet")}
    before = sorted(path.name for path in files.iterdir())
    result = CliRunner().invoke(app, [replaced.get(argument, argument) for argument in arguments])
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert sentence in lines[0]
    assert sorted(path.name for path in files.iterdir()) == before
