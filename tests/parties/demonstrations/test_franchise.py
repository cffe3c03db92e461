from __future__ import annotations

import io

import pytest
from rich.console import Console
from store_groups import small_groups
from typer.testing import CliRunner

from hecf.errors import HecfError
from parties.cli import app
from parties.demonstrations import franchise


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(franchise, "load_franchises", lambda buyers: small_groups())
    monkeypatch.setattr(franchise, "FITS", {"ease": {"penalty": 20.0}})


@pytest.mark.parametrize(
    ("transport", "scheme"), [("grpc", "ckks"), ("grpc", "paillier"), ("memory", "clear")]
)
def test_groups_fit_the_pooled_model_together(small, transport, scheme) -> None:
    steps: list[str] = []
    results = franchise.run(scheme, transport, steps.append)
    assert len(steps) == (5 if transport == "grpc" else 3)
    for groups in results["models"].values():
        for name, found in groups.items():
            assert found["error"] == 0.0
            assert found["overlap"] == 1.0
            assert found["encrypted"] == found["pooled"]
            assert found["shoppers"] <= results["shoppers"][name]
        assert any(found["alone"] != found["pooled"] for found in groups.values())
    written = io.StringIO()
    franchise.show(results, Console(file=written, width=120))
    assert "largest score error against the pooled model 0.0e+00" in written.getvalue()


def test_a_group_that_fails_ends_the_demonstration(small, monkeypatch) -> None:
    monkeypatch.setattr(franchise, "FITS", {"als": {"factors": 99}})
    with pytest.raises(HecfError, match="the number of factors"):
        franchise.run("clear", "memory", lambda step: None)


def test_options_of_the_other_story_are_refused() -> None:
    result = CliRunner().invoke(app, ["demo", "franchise", "--shoppers", "200"])
    assert result.exit_code == 1
    assert "the franchise demonstration has no such option" in result.stderr


def test_paillier_tells_the_story_of_sums(small, monkeypatch) -> None:
    told = []

    def run(*arguments):
        told.append(arguments[:2])
        raise HecfError("enough")

    monkeypatch.setattr(franchise, "run", run)
    for options in (["--scheme", "paillier"], ["franchise", "--scheme", "paillier"]):
        assert CliRunner().invoke(app, ["demo", *options]).exit_code == 1
    assert told == [("paillier", "grpc")] * 2
    for story in ("loyalty", "lookalike"):
        result = CliRunner().invoke(app, ["demo", story, "--scheme", "paillier"])
        assert result.exit_code == 1
        assert f"the {story} demonstration multiplies two encrypted matrices" in result.stderr
    assert len(told) == 2
