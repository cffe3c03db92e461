"""Processes that are started again with the same kits go on where they were, with a new key too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from processes import make_coalition
from typer.testing import CliRunner

from parties.cli import app
from parties.custody.ledger import LEDGER
from parties.processes.launcher import Launcher

HOLDER = "key-holder"
RETAILERS = ("alder", "birch")


def test_later_runs_release_the_same_results_and_decrypt_nothing(tmp_path: Path) -> None:
    coalition = make_coalition(tmp_path / "coalition", retailers=RETAILERS, scheme="ckks")
    logs = tmp_path / "logs"
    logs.mkdir()
    state = coalition.kits[HOLDER] / "state"

    def run() -> tuple[list[Any], int]:
        for name in RETAILERS:
            (coalition.kits[name] / "output" / "summary.json").unlink(missing_ok=True)
        with Launcher(coalition.kits, logs) as launcher:
            launcher.start()
            launcher.wait_for_retailers(60)
        output = [coalition.kits[name] / "output" / "recommendations.parquet" for name in RETAILERS]
        entries = (state / LEDGER).read_text().count("\n")
        return [pq.read_table(path).to_pydict() for path in output], entries

    # Every encryption is another one and every release has fresh noise, so that equal results
    # were neither contributed nor released a second time, and the ledger has not grown.
    first = run()
    assert first[1] > 0
    assert run() == first
    # Nobody can decrypt what was contributed any more, and nobody has to.
    rotated = CliRunner().invoke(app, ["keys", "rotate", "--config", str(coalition.party(HOLDER))])
    assert rotated.output.startswith("epoch 2 ")
    assert run() == first
