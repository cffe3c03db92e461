"""Sections of the page about cost beside the jobs: growth, published figures, ledgers."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from report_page import Page, faults
from report_page import results as demonstration
from test_bench_page import HOSTILE, job
from test_bench_page import results as bench
from typer.testing import CliRunner

from hecf.errors import InvalidInput
from parties.cli import app
from parties.report.bench import render_bench
from parties.report.logarithm import LogAxis


def growth() -> dict[str, Any]:
    points = [
        {
            "size": size,
            "seconds": {"encrypt": 2e-5 * size, "node": 0.1, "key_holder": 0.01},
            "promised_seconds": {"encrypt": 1e-5 * size, "node": 0.2, "key_holder": 0.01},
            "bytes": {"up": 1000 * size, "down": 5000},
            "promised_bytes": {"up": 1000 * size, "down": 5000},
            "peak_bytes": 50_000_000,
            "error": 1e-9,
            "repetitions": 3,
        }
        for size in (10_000, 100_000, 1_000_000)
    ]
    return {
        "machine": bench()["machine"],
        "quick": False,
        "growth": [
            {
                "operation": "gram",
                "by": "shoppers",
                "parameters": {"factors": 8, "retailers": 2},
                "points": points,
            }
        ],
    }


def networks() -> dict[str, Any]:
    network = {
        "name": "WAN: 100 Mbit/s, 40 ms",
        "bits": 1e8,
        "round_trip": 0.04,
        "bytes": {"received": 100_000_000, "sent": 25_000_000},
        "seconds_without": 20.0,
        "seconds": 27.036,
        "projected_seconds": 30.04,
        "ratio": 0.9,
    }
    return {"machine": bench()["machine"], "quick": False, "networks": [network]}


def latencies() -> dict[str, Any]:
    asked = {
        "operation": "score",
        "items": 1000,
        "factors": 16,
        "clients": 1,
        "rate": 4.0,
        "keys": "cold",
        "requests": 40,
        "failed": 2,
        "answered_a_second": 3.5,
        "latency_seconds": {"p50": 0.1, "p95": 0.2, "p99": 0.4, "maximum": 0.5},
    }
    warm = asked | {"keys": "warm", "failed": 0}
    unanswered = {"operation": "sum", "items": 10, "requests": 3, "failed": 3}
    return {"machine": bench()["machine"], "latencies": [asked, warm, unanswered]}


def ledger(epsilon: float = 2.0) -> dict[str, Any]:
    return {
        "coalition": "loyalty",
        "head": {},
        "budgets": {
            "releases": {"limit": 4096, "spent": {"e" * 32: 48}},
            "epsilon": {"limit": epsilon, "delta": 1e-7, "spent": epsilon / 2},
        },
        "entries": [
            {
                "number": 1,
                "time": "2026-11-22T08:00:00+00:00",
                "task": "a" * 64,
                "epoch": "e" * 32,
                "ciphertexts": 48,
                "noise_multiplier": 3.5,
            }
        ],
    }


def presets() -> dict[str, Any]:
    cited = {
        "figure": "published: 10.4 to 12.5 ms",
        "source": "github.com/apple",
        "hardware": "hardware not stated",
        "beside": "Theirs rotates.",
    }
    made = bench()
    made["results"] = [
        job("score-apple", 0.01, None, details={"published": cited}),
        job("fhe-recommender", 2.0, None, details={"published": {"figure": "no published figure"}}),
    ]
    return made


def page_of(folder: Path, *contents: dict[str, Any]) -> str:
    paths = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.json"
        path.write_text(json.dumps(content))
        paths.append(str(path))
    out = folder / "page.html"
    done = CliRunner().invoke(app, ["report", *paths, "--out", str(out)])
    if done.exit_code:
        raise InvalidInput(done.stderr)
    return out.read_text()


def test_one_page_shows_everything_that_is_about_cost(tmp_path: Path) -> None:
    text = page_of(tmp_path, bench(), presets(), growth(), latencies(), networks(), ledger())
    assert faults(text) == []
    page = Page(text)
    for heading in (
        "Overhead at a glance",
        "Beside published work",
        "How cost grows",
        "Latency of running services",
        "Over a network",
        "Privacy ledger",
    ):
        assert heading in page.text
    # One machine made them all, so it is shown once.
    assert page.text.count("Machine and versions") == 1
    assert page.row("score-apple", "250 ms; 25.0 MB up, 100 MB down") == [
        [
            "score-apple",
            "250 ms; 25.0 MB up, 100 MB down",
            "published: 10.4 to 12.5 ms",
            "github.com/apple",
            "hardware not stated",
            "Theirs rotates.",
        ]
    ]
    # What is the same in all entries of an operation stands in its heading.
    assert "Score: 1,000 items, 16 factors, 1 client, 4 due a second" in page.text
    figures = ["4.00", "3.50", "100 ms", "200 ms", "400 ms", "40"]
    assert page.row("cold keys") == [["cold keys", *figures, "2"]]
    assert page.row("warm keys") == [["warm keys", *figures, "0"]]
    assert page.row("sum", "–") == [["sum", *["–"] * 5, "3", "3"]]
    name = "WAN: 100 Mbit/s, 40 ms"
    figures = ["100 MB", "25.0 MB", "20.0 s", "30.0 s", "27.0 s", "0.900"]
    assert page.row(name) == [[name, *figures]]
    assert page.row("fhe-recommender", "250 ms; 25.0 MB up, 100 MB down")[0][3:] == ["–"] * 3


def test_growth_is_compared_with_what_was_expected() -> None:
    text = render_bench({"results": [], **growth()})
    assert faults(text) == []
    row = Page(text).row("100,000")[0]
    assert row[:3] == ["100,000", "2.00 s", "2.00"]
    assert row[3:5] == ["100 ms", "0.500"]
    assert row[7:] == ["100 MB", "5.0 kB", "1.00", "50.0 MB"]
    spoken = text.replace("\N{NO-BREAK SPACE}", " ")
    assert "2.00 s at 100,000, expected 1.00 s" in spoken


def test_measured_points_lie_on_the_logarithm_and_lines_are_what_was_expected() -> None:
    text = render_bench({"results": [], **growth()})
    # From 10 ms to 100 s are four decades on 220 pixels; 2 s are 2.3 of them up.
    high = 220 * (1 - (math.log10(2.0) + 2) / 4)
    assert f'<circle cx="50.00%" cy="{high:.1f}" r="5" class="stage-2">' in text
    expected = 220 * (1 - 2 / 4)
    assert f'x2="50.00%" y2="{expected:.1f}"' in text
    assert len(re.findall(r'<line class="curve stage-2"', text)) == 2


def test_a_ledger_says_what_is_left(tmp_path: Path) -> None:
    page = Page(page_of(tmp_path, ledger()))
    assert f"48 of 4,096 under key {'e' * 16}" in page.text
    assert "epsilon 1.00 of 2.00 at delta 1.0 × 10⁻⁷" in page.text
    assert page.row("1")[0] == [
        "1",
        "2026-11-22T08:00:00+00:00",
        "a" * 16,
        "e" * 16,
        "48",
        "3.50",
    ]
    assert "none was agreed" in page_of(tmp_path, ledger(epsilon=0.0))


def test_a_hostile_coalition_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    text = page_of(tmp_path, ledger() | {"coalition": HOSTILE})
    assert faults(text) == []
    assert HOSTILE in Page(text).text


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="a job has two results: got gram, sum-bytes"):
        page_of(tmp_path, bench(), bench())
    with pytest.raises(InvalidInput, match=r"1\.json needs a page of its own: got 2 files"):
        page_of(tmp_path, bench(), demonstration())
    with pytest.raises(InvalidInput, match="a field of the results is no list: got growth"):
        page_of(tmp_path, growth() | {"growth": 3})


@pytest.mark.parametrize("value", [0.0, -1.0, "fast"])
def test_growth_that_cannot_be_drawn_is_refused(value: Any) -> None:
    made = growth()
    made["growth"][0]["points"][1]["seconds"]["node"] = value
    with pytest.raises(InvalidInput):
        render_bench({"results": [], **made})


def test_an_axis_encloses_its_values_by_powers_of_ten() -> None:
    axis = LogAxis.around([0.02, 3.0])
    assert (axis.low, axis.high) == (-2, 1)
    assert axis.place(0.1) == pytest.approx(1 / 3)
    assert axis.ticks(6) == [0.01, 0.1, 1.0, 10.0]
    assert axis.ticks(2) == [0.01, 1.0]
    assert LogAxis.between(2, 2).place(2) == 0
