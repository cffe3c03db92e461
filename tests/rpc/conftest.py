"""Both transports, as one fixture that begins coalitions of any terms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from coalitions import TRANSPORTS, Coalition, make_terms

Open = Callable[..., Coalition]


@pytest.fixture(params=sorted(TRANSPORTS))
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[Coalition] = []

    def begin(**options: Any) -> Coalition:
        patience, published = options.pop("patience", 20.0), options.pop("published", True)
        folder = tmp_path / str(len(opened))
        kind = TRANSPORTS[request.param]
        made = kind(make_terms(**options), folder, patience=patience, published=published)
        opened.append(made)
        return opened[-1]

    yield begin
    for coalition in opened:
        coalition.close()


@pytest.fixture
def coalition(start: Open) -> Coalition:
    return start()
