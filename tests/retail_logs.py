"""Small purchase logs: retailers with one catalogue, and retailers with the same shoppers."""

from __future__ import annotations

import numpy as np
import pandas as pd

ITEMS = [f"item {n:02}" for n in range(24)]


def purchases(seed: int, shoppers: int) -> pd.DataFrame:
    """A retailer's log: its own shoppers, and most but not all of the shared items."""
    generator = np.random.default_rng(seed)
    counts = generator.poisson(0.6, (shoppers, len(ITEMS))) * (np.arange(len(ITEMS)) != seed)
    rows, columns = counts.nonzero()
    return pd.DataFrame(
        {
            "user_id": [f"{seed}-{row}" for row in rows],
            "item_id": [ITEMS[column] for column in columns],
            "rating": counts[rows, columns],
        }
    )


FRANCHISES = {"north": purchases(0, 60), "south": purchases(1, 45), "west": purchases(2, 20)}

RETAILERS = ("bakery", "cafe", "deli")


def programme(shoppers: int, first: int = 0, seed: int = 3) -> dict[str, pd.DataFrame]:
    """Logs of retailers whose shoppers have tastes, and some of whom never came in."""
    tastes = np.random.default_rng(seed + first).standard_normal((shoppers, 4))
    frames = {}
    for number, name in enumerate(RETAILERS):
        loads = np.random.default_rng(number).standard_normal((4, 18 + number))
        generator = np.random.default_rng(100 * first + number)
        counts = generator.poisson(np.exp(0.6 * tastes @ loads - 0.7))
        counts[number::9] = 0
        rows, columns = counts.nonzero()
        frames[name] = pd.DataFrame(
            {
                "user_id": [f"m{first + row:05}" for row in rows],
                "item_id": [f"{name} {column:02}" for column in columns],
                "rating": counts[rows, columns],
            }
        )
    return frames


MEMBERS, NEW_MEMBERS = programme(260), programme(150, first=1000)
