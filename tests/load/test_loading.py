"""A small load over real processes: every call is answered, every result right, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from loading import Load, Outcome, run

from hecf.errors import LimitExceeded
from hecf.he.clear import ClearMatrix


def test_nothing_is_lost_under_a_small_load(tmp_path: Path) -> None:
    load = Load(retailers=3, clients=3, sums=3, values=64, scheme="clear")
    outcome = run(load, tmp_path)
    assert outcome.errors == []
    assert outcome.wrong == []
    report = outcome.report()
    assert report["seconds"]["upload"]["calls"] == 3 * 3 + 3 * 3
    assert report["seconds"]["scores"]["calls"] == 15
    assert min(report["peak_memory_mib"].values()) > 0


def test_a_wrong_upload_and_an_error_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The control: one retailer's vector counts twice in every sum.
    real = ClearMatrix.to_bytes

    def doubled(matrix: ClearMatrix) -> bytes:
        values = matrix.values
        twice = values.size == 64 and values.flat[0] == 1.0
        return real(ClearMatrix(matrix.plan, matrix.side, values * 2 if twice else values))

    monkeypatch.setattr(ClearMatrix, "to_bytes", doubled)
    outcome = run(Load(retailers=2, clients=1, sums=1, values=64, scheme="clear"), tmp_path)
    assert outcome.wrong == ["the sum load-0"] or outcome.errors

    def refused() -> None:
        raise LimitExceeded("too much")

    said = Outcome(duration=1.0)
    said.call("upload", refused)
    assert said.report()["errors"] == ["upload: too much"]
    assert np.isfinite(said.report()["seconds"]["upload"]["p99"])
