"""The example of the README is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

README = Path(__file__).resolve().parents[1] / "README.md"


def frame(seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    rows, columns = (generator.random((40, 15)) < 0.3).nonzero()
    return pd.DataFrame({"user_id": rows, "item_id": columns})


def test_the_python_example_runs() -> None:
    # The second one needs running parties: tests/coalition/test_connected.py.
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    names = {name: frame(seed) for seed, name in enumerate(("north", "south", "west"))}
    exec(compile(blocks[0], "README.md", "exec"), names)
    assert names["ids"].shape == names["scores"].shape == (10,)
    assert np.isfinite(names["scores"][:5]).all()
