"""Results of a made-up run, and a reader of the page that the report writes from them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from hecf.measure import STAGES

RETAILERS = ("grocer", "drugstore", "butcher")
VOID = {"meta", "br"}


def results() -> dict[str, Any]:
    """Make results of the form that the demonstration writes, with figures of its own."""
    parties = ("compute-node", "key-holder", *RETAILERS)
    spent = {
        name: {stage: 0.25 * (row + 1) * column for column, stage in enumerate(STAGES)}
        for row, name in enumerate(parties)
    }
    return {
        "data": {
            "source": "complete-journey",
            "shoppers": 2467,
            "held_out": 485,
            "retailers": {
                name: {"items": 706 + row, "interactions": 674946 + row, "held_out": 490 + row}
                for row, name in enumerate(RETAILERS)
            },
        },
        "processes": [
            {"role": name if "-" in name else "retailer", "name": name, "pid": 6206 + row}
            for row, name in enumerate(parties)
        ],
        "targets": {
            name: {
                "recall@20": {
                    "popularity": 0.4 + 0.1 * row,
                    "clear": 0.4412 + 0.1 * row,
                    "encrypted": 0.44127 + 0.1 * row,
                },
                "ndcg@20": {
                    "popularity": 0.3 + 0.1 * row,
                    "clear": 0.3523 + 0.1 * row,
                    "encrypted": 0.3521 + 0.1 * row,
                },
            }
            for row, name in enumerate(RETAILERS)
        },
        "agreement": {"max_abs_score_error": 0.0001739, "top20_overlap": 0.99984},
        "seconds": {
            "total": 27.9595,
            "clear": 1.0343,
            **{stage: sum(each[stage] for each in spent.values()) for stage in STAGES},
        },
        "bytes": {
            name: {"sent": 19848355 * (row + 1), "received": 1087191 + row}
            for row, name in enumerate(parties)
        },
        "parameters": {
            "scheme": "ckks",
            "ring_degree": 8192,
            "modulus_bits": 174,
            "security_bits": 128,
            "factors": 32,
            "packing": [4, 512, 4],
            "flooding": 5.164434e-06,
            "statistical_bits": 30,
            "releases": 4096,
            "epsilon": 0.0,
            "delta": 0.0,
        },
        "topology": "coalition-key-blinded",
        "saw": {name: [f"{row} things", "and no more"] for row, name in enumerate(parties)},
        "seconds_by_process": spent,
        "example": {
            "target": "butcher",
            "shopper": "1453",
            "encrypted": _items("ABC", 1.80838),
            "clear": _items("ACB", 1.80841),
        },
    }


def _items(letters: str, first: float) -> list[dict[str, Any]]:
    return [
        {"item": letter, "name": f"ITEM {letter}", "score": first - 0.1 * rank, "bought": rank < 2}
        for rank, letter in enumerate(letters)
    ]


def unencrypted() -> dict[str, Any]:
    made = results()
    made["parameters"] |= {"scheme": "clear", "ring_degree": 0, "modulus_bits": 0, "flooding": 0.0}
    made["parameters"]["security_bits"] = 0
    for process in made["processes"]:
        process["pid"] = 77
    return made


class Page(HTMLParser):
    """A reader of its own: balance, attributes, text, and the cells of every table row."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.style = ""
        self.rows: list[list[str]] = []
        self._images = 0
        self.feed(text)
        self.close()
        self.faults += [f"{name} is not closed" for name in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.tags.append((tag, given))
        self._check(tag, given)
        if tag not in VOID:
            self.open.append(tag)
        if given.get("role") == "img":
            self._images = len(self.open)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if len(self.open) == self._images:
            self._images = 0
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"{tag} closes something else")

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.style += data
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open) and self.rows:
            self.rows[-1][-1] += data

    def _check(self, tag: str, given: dict[str, str]) -> None:
        if tag in ("script", "link", "iframe", "object", "embed", "base", "img"):
            self.faults.append(f"{tag} is loaded or run")
        for key, value in given.items():
            if key.startswith("on"):
                self.faults.append(f"{key} is run")
            if key in ("src", "href", "srcset", "action", "data", "xlink:href"):
                self.faults.append(f"{key} refers to {value}")
        named = bool(given.get("aria-label", "").strip())
        if given.get("role") == "img" and not named:
            self.faults.append("an image has no name")
        if tag == "svg" and not named:
            inside = bool(self._images) and given.get("aria-hidden") == "true"
            if not inside:
                self.faults.append("a drawing has no name")
        if tag == "div" and given.get("role") == "region" and not named:
            self.faults.append("a region has no name")

    @property
    def text(self) -> str:
        return " ".join(self.words).replace("\N{NO-BREAK SPACE}", " ")

    def row(self, *starts: str) -> list[list[str]]:
        plain = [[cell.replace("\N{NO-BREAK SPACE}", " ") for cell in row] for row in self.rows]
        return [row for row in plain if row[: len(starts)] == list(starts)]


def faults(text: str) -> list[str]:
    found = Page(text).faults
    outside = re.findall(r"https?://|url\(|@import|//[a-z]", text, re.IGNORECASE)
    return found + [f"{each} in the text" for each in outside]
