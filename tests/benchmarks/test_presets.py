"""Presets run at small sizes, compute the right thing, and cite what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.presets import PRESETS
from parties.cli import app

JOBS = [job for jobs in PRESETS.values() for job in jobs]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_quick_run_is_correct_and_says_what_was_published(job):
    result = job.run(True)
    assert result.job == job.name
    assert result.error < 1e-3
    assert result.split["compute"] > 0
    assert result.up > 0
    assert result.down > 0
    published = result.details["published"]
    cited = set(published) == {"figure", "source", "hardware", "beside"}
    assert cited or published == {"figure": "no published figure"}


def test_a_preset_prints_the_published_figure_with_its_source(tmp_path: Path):
    path = tmp_path / "apple.json"
    command = ["bench", "--quick", "--preset", "apple", "--json", str(path)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "10.4 to 12.5 ms" in done.output
    assert "github.com/apple/swift-homomorphic-encryption" in done.output
    assert [each["job"] for each in json.loads(path.read_text())["results"]] == ["score-apple"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--preset", "orange"], "unknown preset: got orange, expected apple or fedmf or"),
        (["gram", "--preset", "apple"], "a preset chooses its jobs itself: got gram"),
    ],
)
def test_a_preset_that_cannot_be_is_refused_in_a_sentence(more, sentence):
    done = CliRunner().invoke(app, ["bench", "--quick", *more])
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
