from __future__ import annotations

import io

import pytest
from retail_logs import FRANCHISES
from rich.console import Console
from typer.testing import CliRunner

import hecf
from hecf.data.complete_journey_stores import CompleteJourneyFranchise
from hecf.data.interactions import InteractionTable
from hecf.data.readers import interactions_from_frame
from hecf.errors import HecfError
from parties import franchise
from parties.cli import app


@pytest.fixture
def small(monkeypatch) -> dict[str, hecf.UserItems]:
    """Three small groups in place of the Complete Journey data."""
    coalition = hecf.Coalition(FRANCHISES, scheme="clear")
    groups = {}
    for name, frame in FRANCHISES.items():
        table = interactions_from_frame(frame)
        later = InteractionTable(table.user_ids, table.item_ids[::-1].copy(), table.counts)
        names = {item: item for item in coalition.item_ids}
        groups[name] = CompleteJourneyFranchise(
            name, table, later.aggregated(), coalition.item_ids, names
        )
    monkeypatch.setattr(franchise, "load_franchises", lambda: groups)
    monkeypatch.setattr(franchise, "FITS", {"ease": {"penalty": 20.0}})
    return dict(coalition.user_items)


@pytest.mark.parametrize(("transport", "scheme"), [("grpc", "ckks"), ("memory", "clear")])
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
