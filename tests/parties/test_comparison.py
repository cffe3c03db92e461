"""`hecf bench compare`: changes by ratio, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hecf.errors import ConfigurationError
from parties.cli import app
from parties.comparison import compare


def write(path: Path, quick: bool = False, **ratios: float) -> Path:
    results = [{"job": job, "ratio": ratio} for job, ratio in ratios.items()]
    path.write_text(json.dumps({"quick": quick, "results": results}))
    return path


def test_changes_are_told_by_ratio(tmp_path):
    before = write(tmp_path / "before.json", gram=10.0, score=4.0, sum=0.5, old=1.0)
    after = write(tmp_path / "after.json", gram=5.0, score=6.0, sum=0.51, fresh=2.0)
    verdicts = {change.job: change.verdict for change in compare(before, after)}
    assert verdicts == {
        "gram": "cheaper",
        "score": "dearer",
        "sum": "same",
        "old": "gone",
        "fresh": "new",
    }
    assert {change.verdict for change in compare(before, before)} == {"same"}


def test_it_is_a_command_beside_the_jobs(tmp_path):
    path = write(tmp_path / "run.json", gram=10.0)
    result = CliRunner().invoke(app, ["bench", "compare", str(path), str(path)])
    assert result.exit_code == 0, result.output
    assert "gram" in result.output
    unknown = CliRunner().invoke(app, ["bench", "median"])
    assert unknown.exit_code == 1
    assert "unknown job" in unknown.output


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"quick": false, "results": [{}]}', "\x00"])
def test_other_files_are_refused_in_a_sentence(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="no benchmark results"):
        compare(path, path)
    with pytest.raises(ConfigurationError):
        compare(tmp_path / "missing.json", path)


def test_a_quick_run_is_not_compared_with_a_whole_one(tmp_path):
    with pytest.raises(ConfigurationError, match="quick"):
        compare(write(tmp_path / "a", quick=True, x=1.0), write(tmp_path / "b", x=1.0))
