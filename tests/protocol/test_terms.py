from __future__ import annotations

import hashlib
import json
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hecf.errors import ConfigurationError
from hecf.protocol.terms import MOST_SHOPPERS, Terms

TERMS = Terms(
    coalition="loyal-2025",
    identifier="0123456789abcdef" * 2,
    scheme="ckks",
    retailers=("grocer", "butcher", "florist"),
    shoppers=2467,
    directory="ab" * 32,
    epsilon=1.0,
    delta=1e-6,
    clip=2.0,
    noise_multiplier=4.2,
    sum_clip=8.0,
    sums=3,
    colluders=1,
)
OTHERS: dict[str, Any] = {
    "coalition": "royal",
    "identifier": "f" * 32,
    "scheme": "clear",
    "retailers": ("butcher", "grocer", "florist"),
    "shoppers": 2468,
    "directory": "cd" * 32,
    "factors": 31,
    "ridge": 0.25,
    "decay": 0.0,
    "top_k": 21,
    "statistical_bits": 40,
    "releases": 4097,
    "minimum_shoppers": 99,
    "minimum_contributors": 3,
    "minimum_rows": 11,
    "topology": "coalition-key",
    "epsilon": 2.0,
    "delta": 1e-7,
    "clip": 2.5,
    "noise_multiplier": 4.1,
    "sum_clip": 9.0,
    "sums": 4,
    "colluders": 0,
    "joint_clip": True,
}
names = st.from_regex(r"\A[a-z][a-z0-9-]{0,20}\Z")


def tampered(**changes: Any) -> str:
    content = json.loads(TERMS.to_json())
    content.update(changes)
    return json.dumps(content)


@given(
    st.builds(
        Terms,
        coalition=names,
        identifier=st.text("0123456789abcdef", min_size=32, max_size=32),
        scheme=st.sampled_from(["ckks", "clear"]),
        retailers=st.lists(names, min_size=2, max_size=6, unique=True).map(tuple),
        shoppers=st.integers(2000, 10**7),
        directory=st.text("0123456789abcdef", min_size=64, max_size=64),
        factors=st.integers(1, 1024),
        ridge=st.floats(1e-9, 1e9) | st.integers(1, 1000),
        decay=st.floats(0, 4) | st.integers(0, 4),
        top_k=st.integers(1, 10_000),
        statistical_bits=st.integers(20, 80),
        releases=st.integers(1, 1 << 20),
        minimum_shoppers=st.integers(2, 2000),
    )
)
def test_terms_survive_their_text(terms: Terms) -> None:
    text = terms.to_json()
    back = Terms.from_json(text)
    assert back == terms
    assert back.to_json() == text
    assert back.fingerprint == terms.fingerprint == hashlib.sha256(text.encode()).hexdigest()


def test_the_text_is_canonical() -> None:
    text = TERMS.to_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert json.loads(text)["format_version"] == 1
    # A whole number is the same term as its float, so it has the same fingerprint.
    assert replace(TERMS, ridge=1, decay=0) == replace(TERMS, ridge=1.0, decay=0.0)
    assert replace(TERMS, ridge=1).fingerprint == replace(TERMS, ridge=1.0).fingerprint
    spaced = json.dumps(json.loads(text), indent=2)
    assert Terms.from_json(spaced).fingerprint == TERMS.fingerprint


def test_the_fingerprint_changes_with_every_field() -> None:
    assert set(OTHERS) == {field.name for field in fields(Terms)}
    found = {replace(TERMS, **{name: value}).fingerprint for name, value in OTHERS.items()}
    assert len(found | {TERMS.fingerprint}) == len(OTHERS) + 1


def test_privacy_of_blocks_under_paillier_is_refused() -> None:
    assert TERMS.clip > 0
    with pytest.raises(ConfigurationError, match=r"clip.*expected 0 with scheme paillier"):
        replace(TERMS, scheme="paillier")
    assert replace(TERMS, scheme="paillier", clip=0, sums=1, sum_clip=1.0).sum_privacy is not None


def test_joint_clipping_needs_a_clip() -> None:
    with pytest.raises(ConfigurationError, match="joint_clip is out of range"):
        replace(TERMS, clip=0, joint_clip=True)
    joint, apart = replace(TERMS, joint_clip=True).gram_privacy, TERMS.gram_privacy
    assert joint is not None
    assert apart is not None
    assert (joint.joint, apart.joint) == (True, False)


def test_terms_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        TERMS.minimum_shoppers = 2  # type: ignore[misc]


@pytest.mark.parametrize("name", sorted(OTHERS))
@pytest.mark.parametrize("value", [None, True, False, [], {}, [1], "", "1", 1.5, -1, "0x20"])
def test_values_of_another_type_are_refused(name: str, value: object) -> None:
    real = ("ridge", "decay", "epsilon", "clip", "sum_clip", "noise_multiplier")
    if (name in real and value == 1.5) or (name == "joint_clip" and isinstance(value, bool)):
        # The values of the list that some fields have room for.
        assert Terms.from_json(tampered(**{name: value})) == replace(TERMS, **{name: value})
        return
    with pytest.raises(ConfigurationError, match="the terms"):
        Terms.from_json(tampered(**{name: value}))
    with pytest.raises(ConfigurationError, match="the terms"):
        replace(TERMS, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shoppers", True),
        ("factors", True),
        ("top_k", True),
        ("releases", True),
        ("minimum_shoppers", True),
        ("ridge", True),
        ("decay", False),
        ("format_version", True),
        ("format_version", 1.0),
        ("format_version", "1"),
        ("factors", 32.0),
        ("retailers", "grocer"),
        ("retailers", {"grocer": 1, "butcher": 2}),
        ("retailers", ["grocer", 7]),
        ("retailers", ["grocer", None]),
        ("retailers", ["grocer", ["butcher"]]),
    ],
)
def test_type_confusion_is_refused_with_the_name_of_the_field(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}' has another type"):
        Terms.from_json(tampered(**{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("coalition", "Loyal"),
        ("coalition", "loyal\n"),
        ("coalition", "a" * 64),
        ("coalition", "../etc"),
        ("identifier", "0" * 31),
        ("identifier", "G" * 32),
        ("identifier", "A" * 32),
        ("scheme", "bfv"),
        ("scheme", "CKKS"),
        ("retailers", ["grocer"]),
        ("retailers", []),
        ("retailers", ["grocer", "grocer"]),
        ("retailers", ["grocer", "but/cher"]),
        ("retailers", ["grocer", ""]),
        ("directory", "0" * 63),
        ("factors", 0),
        ("factors", 1025),
        ("factors", 2467),
        ("ridge", 0),
        ("ridge", -0.1),
        ("ridge", float("nan")),
        ("ridge", float("inf")),
        ("ridge", 10**400),
        ("decay", -1e-9),
        ("decay", 4.1),
        ("decay", float("nan")),
        ("top_k", 0),
        ("top_k", 10_001),
        ("statistical_bits", 19),
        ("statistical_bits", 81),
        ("releases", 0),
        ("releases", (1 << 20) + 1),
        ("minimum_shoppers", 1),
        ("minimum_shoppers", -1),
        ("minimum_contributors", 1),
        ("minimum_contributors", 4),
        ("minimum_rows", 1),
        ("joint_clip", 1),
        ("shoppers", 99),
        ("shoppers", MOST_SHOPPERS + 1),
        ("format_version", 2),
        ("format_version", 0),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match="the terms"):
        Terms.from_json(tampered(**{name: value}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        '"terms"',
        "{}",
        TERMS.to_json()[:-1],
        TERMS.to_json() + "}",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        "\x00",
        TERMS.to_json().replace('"factors":32', '"factors":32,"factors":64'),
        TERMS.to_json().replace('"factors":32', '"factors":0x20'),
        TERMS.to_json().replace('"factors":32', '"factor":32'),
        TERMS.to_json().replace('"factors":32,', ""),
        TERMS.to_json().replace('"factors":32', '"factors":32,"more":1'),
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="the terms"):
        Terms.from_json(text)


def test_every_changed_character_is_refused_or_changes_the_fingerprint() -> None:
    text = TERMS.to_json()
    accepted = 0
    for position in range(len(text)):
        for character in ("1", "a", '"', "-"):
            if text[position] == character:
                continue
            changed = text[:position] + character + text[position + 1 :]
            try:
                terms = Terms.from_json(changed)
            except ConfigurationError:
                continue
            accepted += 1
            assert terms.fingerprint != TERMS.fingerprint
    assert accepted > 100
