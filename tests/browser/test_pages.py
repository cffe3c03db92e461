"""Every page that hecf writes, looked at in a real browser where there is one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from looking import DESK, PHONE, SCHEMES, browser, faults, installed, required
from playwright.sync_api import Browser

from parties.report import render
from parties.report.bench import render_bench
from parties.report.utility import render_utility
from parties.reporting import report

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
HOSTILE = "<script>alert(1)</script>" + "x" * 400


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    path = installed()
    if path is None:
        if required():
            pytest.fail("no browser is installed: expected chromium")
        pytest.skip("no browser is installed, so pages were not looked at; install chromium")
    with browser(path) as started:
        yield started


def published(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return found


def with_hostile_names() -> dict[str, Any]:
    found = published("bench.json")
    found["results"][0]["job"] = found["machine"]["processor"] = HOSTILE
    return found


PAGES = {
    "cost": lambda: report([RESULTS / f"{name}.json" for name in ("bench", "growth", "network")]),
    "demonstration": lambda: render(published("demo.json")),
    "privacy": lambda: render_utility(published("privacy-utility.json")),
    "hostile": lambda: render_bench(with_hostile_names()),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(running: Browser, name: str, width: int, scheme: str) -> None:
    assert faults(running, PAGES[name](), width, scheme) == []


BAD = {
    "<p style='width: 500px'>wide</p>": "148 pixels too wide: p",
    "<div role='img'>unnamed</div>": "an image has no name",
    "<svg><circle r='3'></circle></svg>": "an image has no name",
    "<figure>chart</figure>": "a figure is no image to assistive technology",
    "<script>throw Error('late')</script>": "error: late",
    "<style>body { background: white }</style>": "not dark",
}


@pytest.mark.parametrize("fault", ["fine", *BAD])
def test_what_is_wrong_with_a_page_is_found(running: Browser, fault: str) -> None:
    black = "<style>body { background: black }</style>"
    found = faults(running, f"{black}<main>{fault}</main>", PHONE, "dark")
    assert found == ([BAD[fault]] if fault in BAD else [])
