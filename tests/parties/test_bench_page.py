"""The page about what encryption costs, and the command that makes a page from any results."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from report_page import Page, faults
from report_page import results as demonstration
from typer.testing import CliRunner

from hecf.errors import InvalidInput
from parties.cli import app
from parties.report import figures
from parties.report.bench import render_bench

ADDED = ("split", "spread", "bytes_each_way", "peak_bytes")
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


def job(name: str, ratio: float, mark: float | None, **more: Any) -> dict[str, Any]:
    spread = {"minimum": 0.1, "median": 0.25, "maximum": 0.75, "repetitions": 5, "warm_ups": 1}
    return {
        "job": name,
        "seconds": 0.25,
        "baseline": "NumPy <float32>",
        "baseline_seconds": 0.25 / ratio,
        "ratio": ratio,
        "mark": mark,
        "met": None if mark is None else ratio <= mark,
        "bytes": {"query": 1000},
        "error": 3e-6,
        "parameters": {"ring_degree": 4096, "primes": [12289, 40961], "loops": True},
        "split": {"encrypt": 0.1, "serialise": 0.02, "compute": 0.25, "decrypt": 0.13},
        "bytes_each_way": {"up": 25_000_000, "down": 100_000_000},
        "spread": {"hecf": spread, "baseline": spread},
        "peak_bytes": {"this process": 300_000_000, "compute-node": 111_000_000},
        "details": {},
        **more,
    }


def results() -> dict[str, Any]:
    targets = demonstration()["targets"]
    return {
        "machine": {
            "hecf": "0.1.0",
            "processor": "EPYC",
            "cores": 2,
            "packages": {"numpy": "2.4"},
            "blas": [{"library": "openblas", "threads": 2}],
        },
        "quick": False,
        "results": [
            job("gram", 4.29, 10.0),
            job("sum-bytes", 0.156, 0.143),
            job("training-grpc", 1.25, None, details={"targets": targets}),
        ],
    }


def test_the_page_is_sound_and_says_every_figure() -> None:
    text = render_bench(results())
    assert faults(text) == []
    page = Page(text)
    assert "1 of 2 marks are reached." in page.text
    assert "Missed: sum-bytes." in page.text
    assert page.row("gram", "250 ms") == [
        ["gram", "250 ms", "NumPy <float32>", "58.3 ms", "4.29", "10", "reached"]
    ]
    assert page.row("sum-bytes", "250 ms")[0][-2:] == ["0.143", "missed"]
    assert page.row("training-grpc", "250 ms")[0][-2:] == ["–", "no mark"]
    assert ["gram", "100 ms", "20.0 ms", "250 ms", "130 ms", "500 ms"] in page.row("gram")
    assert page.row("gram, hecf") == [["gram, hecf", "100 ms", "250 ms", "750 ms", "5", "1"]]
    # 10^9 bits in a second and a round trip of a millisecond; ten times as long, and 40 ms.
    assert ["gram", "25.0 MB", "100 MB", "1.00 s", "10.0 s"] in page.row("gram")
    assert page.row("gram, compute-node") == [["gram, compute-node", "111 MB"]]
    assert "12,289, 40,961" in page.text
    assert "library openblas, threads 2" in page.text
    assert "Dot chart of recall@20 by target" in text


def test_the_chart_places_ratios_and_marks_on_a_logarithm() -> None:
    made = results()
    made["results"] = [job("a", 1.0, 10.0), job("b", 0.1, None), job("c", 100.0, 10.0)]
    text = render_bench(made)
    places = re.findall(r'<circle cx="([^"]*)%" cy="13" r="5" class="(\w+)"', text)
    assert places[:3] == [("33.33", "within"), ("0.00", "unjudged"), ("100.00", "beyond")]
    assert text.count('<line x1="66.67%" x2="66.67%" y1="4" y2="22" class="mark">') == 2
    assert "c: 100 (mark 10), missed" in text


def test_a_quick_run_is_not_judged() -> None:
    made = results() | {"quick": True}
    page = Page(render_bench(made))
    assert "no mark is judged" in page.text
    assert "marks are reached" not in page.text
    assert page.row("sum-bytes", "250 ms")[0][-1] == "not judged"


def test_results_of_earlier_versions_have_a_page_without_what_they_lack() -> None:
    made = results()
    for each in made["results"]:
        for field in ADDED:
            del each[field]
    text = render_bench(made)
    assert faults(text) == []
    for heading in ("Where the time goes", "Where the bytes go", "Peak memory"):
        assert heading in render_bench(results())
        assert heading not in text


@pytest.mark.parametrize("field", ["job", "seconds", "ratio", "mark", "error", "parameters"])
def test_a_missing_field_is_named(field: str) -> None:
    made = results()
    del made["results"][1][field]
    with pytest.raises(InvalidInput, match=f"lack a field: expected {field}"):
        render_bench(made)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ratio", 0.0),
        ("ratio", math.nan),
        ("mark", math.inf),
        ("seconds", "fast"),
        ("error", None),
        ("split", {"pray": 1.0}),
        ("bytes_each_way", {"up": "1"}),
        ("parameters", 3),
    ],
)
def test_other_results_are_refused(field: str, value: Any) -> None:
    made = results()
    made["results"][0][field] = value
    with pytest.raises(InvalidInput):
        render_bench(made)


@pytest.mark.parametrize("field", ["job", "baseline"])
def test_hostile_text_is_shown_and_not_obeyed(field: str) -> None:
    made = results()
    made["results"][0][field] = HOSTILE
    made["machine"]["processor"] = HOSTILE
    text = render_bench(made)
    assert faults(text) == []
    assert HOSTILE in Page(text).text


def test_results_are_not_changed() -> None:
    made = results()
    before = copy.deepcopy(made)
    render_bench(made)
    assert made == before


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (figures.duration(0.00648), "6.48 ms"),
        (figures.duration(0.9996), "1.00 s"),
        (figures.duration(113.4), "113 s"),
        (figures.duration(2.5e-7), "0.250 µs"),
        (figures.duration(0.0), "0 µs"),
        (figures.ratio(0.001224), "0.00122"),
        (figures.ratio(99.96), "100"),
        (figures.ratio(9.999), "10.0"),
        (figures.ratio(3e-7), "3.0 × 10⁻⁷"),
        (figures.mark(8.0), "8"),
        (figures.mark(1 / 2000), "0.0005"),
        (figures.short(16), "16"),
        (figures.short(30_000), "30k"),
        (figures.short(1_000_000), "1M"),
    ],
)
def test_figures_are_written_as_documented(written: str, expected: str) -> None:
    assert written.replace("\N{NO-BREAK SPACE}", " ") == expected


@pytest.mark.parametrize(
    ("made", "title"),
    [(results(), "What encryption costs"), (demonstration(), "Recommendations across retailers")],
)
def test_the_command_knows_whose_results_they_are(
    tmp_path: Path, made: dict[str, Any], title: str
) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(made))
    done = CliRunner().invoke(app, ["report", str(path)])
    assert done.exit_code == 0, done.output
    assert title in (tmp_path / "run.html").read_text()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "{",
            "holds no results: expected what hecf bench, demo, ledger or privacy-utility --json",
        ),
        ("[3]", "holds no results"),
        ('{"quick": true}', "holds no results"),
        ('{"results": [], "quick": false, "machine": {}}', "the results have no job"),
        ('{"results": [{}], "quick": false}', "the results lack a field: expected mark"),
        ('{"targets": 3}', "cannot be shown: the results "),
    ],
)
def test_a_file_that_holds_no_results_is_refused_in_a_sentence(
    tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    done = CliRunner().invoke(app, ["report", str(path)])
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run.html").exists()


def test_results_are_not_replaced_by_their_page(tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    path.write_text(json.dumps(results()))
    done = CliRunner().invoke(app, ["report", str(path)])
    assert done.exit_code == 1
    assert "would replace the results" in done.stderr
    assert json.loads(path.read_text()) == results()
