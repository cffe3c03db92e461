"""Pictures for documents: shapes where the figures are, and a command that sees every drift."""

from __future__ import annotations

import importlib.util
import math
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
from test_bench_page import HOSTILE, job
from test_bench_page import results as bench
from test_cost_sections import growth

from hecf.errors import InvalidInput
from parties.report.pictures import growth_picture, overhead_picture

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def shapes(text: str, name: str, style: str) -> list[dict[str, str]]:
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    return [dict(each.attrib) for each in root.iter(SVG + name) if each.get("class") == style]


def test_ratios_lie_on_the_logarithm() -> None:
    made = bench()
    made["results"] = [job("a", 1.0, 10.0), job("b", 0.1, None), job("c", 100.0, 10.0)]
    text = overhead_picture(made)
    # From 0.1 to 100 are three decades on 410 pixels; the first dot is the legend's.
    assert [each["cx"] for each in shapes(text, "circle", "within")][1:] == ["286.7"]
    assert [each["cx"] for each in shapes(text, "circle", "unjudged")] == ["150.0"]
    assert [each["cx"] for each in shapes(text, "circle", "beyond")] == ["560.0"]
    assert [each["x1"] for each in shapes(text, "line", "mark")][1:] == ["423.3"] * 2


def test_growth_shows_measured_dots_and_expected_lines() -> None:
    text = growth_picture(growth())
    first, second, third = shapes(text, "circle", "stage-2")[1:]
    assert [each["cx"] for each in (first, second, third)] == ["58.0", "203.0", "348.0"]
    high = 46 + 180 * (1 - (math.log10(2.0) + 2) / 4)
    assert second["cy"] == f"{high:.1f}"
    line = shapes(text, "line", "curve stage-2")[0]
    assert (line["x2"], line["y2"]) == ("203.0", f"{46 + 180 * (1 - 2 / 4):.1f}")


def test_names_are_shown_and_not_obeyed() -> None:
    made = bench()
    made["results"][0]["job"] = HOSTILE
    root = ElementTree.fromstring(overhead_picture(made))
    assert HOSTILE in [each.text for each in root.iter(SVG + "text")]
    assert not list(root.iter(SVG + "script"))


@pytest.mark.parametrize("value", [math.nan, 0.0])
def test_figures_that_cannot_be_drawn_are_refused(value: float) -> None:
    made = bench()
    made["results"][0]["ratio"] = value
    with pytest.raises((InvalidInput, ValueError)):
        overhead_picture(made)


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program that writes figures, on a copy of the documents."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "README.md", tmp_path)
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "write_figures.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "docs" / "results")
    return module


def test_documents_are_those_of_the_results(
    documents: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["write_figures.py", "--check"])
    assert documents.main() == 0
    picture = documents.ROOT / "docs" / "pictures" / "growth.svg"
    readme = documents.ROOT / "README.md"
    picture.write_text(picture.read_text().replace("58.0", "58.1", 1))
    readme.write_text(readme.read_text().replace("| yes |", "| no |", 1))
    assert documents.main() == 1
    error = capsys.readouterr().err
    assert "README.md: bench" in error
    assert "docs/pictures/growth.svg" in error
    monkeypatch.setattr(sys, "argv", ["write_figures.py"])
    assert documents.main() == 0
    assert picture.read_bytes() == (ROOT / "docs" / "pictures" / "growth.svg").read_bytes()
    assert readme.read_bytes() == (ROOT / "README.md").read_bytes()
