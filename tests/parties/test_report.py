"""The HTML report: well-formed, self-contained, accessible, escaped, and true to its results."""

from __future__ import annotations

import copy
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_page import RETAILERS, Page, faults, results, unencrypted

from hecf.errors import InvalidInput
from parties.report import figures, render
from parties.report.markup import Column, table, tag

HOSTILE = "<script>alert(1)</script>\"'&<img src=https://evil.example/x onerror=alert(1)>"


@pytest.mark.parametrize("make", [results, unencrypted])
def test_page_is_well_formed_self_contained_and_named(make: Any) -> None:
    text = render(make())
    assert text.startswith("<!DOCTYPE html>\n<html")
    assert faults(text) == []
    images = [given for _, given in Page(text).tags if given.get("role") == "img"]
    # Topology, two measures, two charts of time, one of bytes.
    assert len(images) == 6


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("</section>", "", "closes something else"),
        ("</body>", "</body></p>", "closes something else"),
        ('role="img" aria-label=', 'role="img" title=', "an image has no name"),
        ('aria-hidden="true"', "", "a drawing has no name"),
        ("<main>", '<main><svg aria-hidden="true"></svg>', "a drawing has no name"),
        ("<main>", "<main><script>x</script>", "script is loaded or run"),
        ("<main>", '<main><a href="elsewhere">x</a>', "href refers to"),
        ("<main>", "<main>see https://example.org", "in the text"),
        ("<main>", '<main onclick="x">', "onclick is run"),
        ("* {", "* { background: url(x);", "in the text"),
    ],
)
def test_the_checks_can_fail(before: str, after: str, fault: str) -> None:
    text = render(results())
    assert before in text
    assert any(fault in found for found in faults(text.replace(before, after, 1)))


def test_sections_come_in_order() -> None:
    text = render(results())
    heads = re.findall(r"<h[12]>(.*?)</h[12]>", text)
    assert heads == [
        "Recommendations across retailers, computed on encrypted data",
        "Who holds what, and who must never see what",
        "How good the recommendations are",
        "One shopper&#x27;s recommendations",
        "Where the time goes",
        "What was sent",
        "How encrypted and clear results differ",
        "How it was encrypted",
        "What each party saw",
    ]


def test_first_sentence_says_gain_and_equality() -> None:
    text = Page(render(results())).text
    # Means over three targets: 0.54127 against 0.5; the largest change is 0.0002 in NDCG.
    assert "(mean recall@20 0.541 instead of 0.500)" in text
    assert "8.3 % more" in text
    assert re.search(r"moves no figure of quality by more than\s+0\.0002", text)


def test_first_sentence_also_says_a_loss_and_a_draw() -> None:
    worse, equal = results(), results()
    for target in worse["targets"].values():
        target["recall@20"]["encrypted"] = target["recall@20"]["popularity"] * 0.9
    assert "10.0 % less" in Page(render(worse)).text
    for target in equal["targets"].values():
        for measure in target.values():
            measure["encrypted"] = measure["clear"] = measure["popularity"]
    text = Page(render(equal)).text
    assert "as much of what they buy there as" in text
    assert "no figure" in text


def test_quality_stands_in_tables_and_names() -> None:
    page = Page(render(results()))
    assert page.row("drugstore", "0.500") == [
        ["drugstore", "0.500", "0.541", "0.541", "+0.041", "+0.0001"]
    ]
    assert page.row("drugstore", "0.400") == [
        ["drugstore", "0.400", "0.452", "0.452", "+0.052", "−0.0002"]
    ]
    labels = [given["aria-label"] for _, given in page.tags if given.get("role") == "img"]
    spoken = "drugstore: most popular items 0.500, clear 0.541, encrypted 0.541"
    assert any(spoken in label for label in labels)


def test_dots_lie_where_the_values_are() -> None:
    text = render(results())
    chart = text[text.index("Dot chart of Recall@20") : text.index("Recall@20, figures")]
    marks = re.findall(r'<text x="([\d.]+)%"[^>]*>([\d.]+)</text>', chart)
    (left, low), (right, high) = marks[0], marks[-1]
    assert (float(left), float(right)) == (0.0, 100.0)
    wanted = [0.4, 0.44127, 0.4412, 0.5, 0.54127, 0.5412, 0.6, 0.64127, 0.6412]
    found = [float(x) for x in re.findall(r'<circle cx="([\d.]+)%"', chart)]
    for value, x in zip(wanted, found, strict=True):
        expected = 100 * (value - float(low)) / (float(high) - float(low))
        assert math.isclose(x, expected, abs_tol=0.01)


def test_times_and_bytes_add_up() -> None:
    given = results()
    page = Page(render(given))
    # The key holder is the second party: 0.25 * 2 * stage.
    assert page.row("key-holder", "0 s") == [
        ["key-holder", "0 s", "0.50 s", "1.00 s", "1.50 s", "2.00 s", "2.50 s", "7.50 s"]
    ]
    assert page.row("Encrypt")[0][1] == "3.75 s"
    assert page.row("All", "0 s")[0][-1] == "56.25 s"
    assert page.row("grocer", "59.5 MB") == [
        ["grocer", "59.5 MB", "59,545,065", "1.1 MB", "1,087,193"]
    ]
    total = sum(count["sent"] for count in given["bytes"].values())
    assert page.row("All", "298 MB")[0][2] == f"{total:,}"
    assert "27.96 s" in page.text
    assert "1.03 s" in page.text


def test_everything_else_is_there() -> None:
    page = Page(render(results()))
    assert page.row("butcher", "Retailer") == [
        ["butcher", "Retailer", "6210", "674,948", "708", "492"]
    ]
    for start, value in {
        "Largest error of a score": "1.7 × 10⁻⁴",
        "Best items in common": "99.98 %",
        "Scheme": "CKKS",
        "Security": "128 bits",
        "Ring degree": "8,192",
        "Modulus": "174 bits",
        "Packing": "4 × 512 × 4",
        "Factors": "32",
        "Noise of a release": "5.2 × 10⁻⁶",
        "Margin of that noise": "30 bits",
        "Releases under one key": "4,096",
    }.items():
        assert [row[1] for row in page.row(start)] == [value]
    assert page.row("1") == [["1", "ITEM A1.8084 · ✓ bought", "ITEM A1.8084 · ✓ bought"]]
    assert page.row("2") == [["2", "ITEM B1.7084 · ✓ bought", "ITEM C1.7084 · ✓ bought"]]
    assert page.row("3") == [["3", "ITEM C1.6084 · not bought", "ITEM B1.6084 · not bought"]]
    assert "1 of 3 places hold the same item" in page.text
    assert "2 of the 3 items" in page.text
    assert "The compute node and the key holder colluding" in page.text
    for name in (*RETAILERS, "compute-node", "key-holder"):
        assert any("things" in row[1] for row in page.row(name))


def test_a_run_without_encryption_promises_nothing() -> None:
    text = Page(render(unencrypted())).text
    assert "Not encrypted, for comparison." in text
    assert "This run is not encrypted and keeps no such promise." in text
    assert "In this run all parties shared one operating-system process" in text
    for word in ("Ring degree", "128 bits", "has no key", "The secret key and"):
        assert word not in text
    encrypted = Page(render(results())).text
    assert "Not encrypted" not in encrypted
    assert "process of its own" in encrypted


@pytest.mark.parametrize(
    "path",
    [
        ("data", "source"),
        ("example", "shopper"),
        ("example", "encrypted", 0, "name"),
        ("example", "clear", 2, "name"),
        ("saw", "grocer", 0),
        ("processes", 0, "name"),
    ],
)
def test_hostile_text_is_shown_and_not_obeyed(path: tuple[Any, ...]) -> None:
    made = results()
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = HOSTILE
    text = render(made)
    assert Page(text).faults == []
    assert "<script" not in text
    assert HOSTILE in Page(text).text


def test_hostile_names_of_retailers_are_escaped_everywhere() -> None:
    text = json.dumps(results()).replace('"butcher"', json.dumps(HOSTILE))
    page = render(json.loads(text))
    assert Page(page).faults == []
    assert "<script" not in page


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=40))
def test_any_text_stays_text(name: str, value: str) -> None:
    text = tag("p", name, aria_label=value).text
    text.encode()
    page = Page(text)
    assert page.faults == []
    assert [found for found, _ in page.tags] == ["p"]


def test_text_that_utf8_cannot_hold_is_replaced() -> None:
    made = results()
    made["example"]["clear"][0]["name"] = "A\ud800B\x00C"
    text = render(made)
    assert "A\ufffdB\ufffdC" in text
    text.encode()


@pytest.mark.parametrize("factor", [0.0, 1e-12, 1e12])
def test_tiny_and_huge_figures_are_drawn(factor: float) -> None:
    made = results()
    for spent in (made["seconds"], *made["seconds_by_process"].values()):
        for stage in spent:
            spent[stage] *= factor
    for count in made["bytes"].values():
        count["sent"] = int(count["sent"] * factor)
        count["received"] = int(count["received"] * factor)
    for target in made["targets"].values():
        for measure in target.values():
            for model in measure:
                measure[model] *= factor
    made["agreement"]["max_abs_score_error"] *= factor
    text = render(made)
    assert faults(text) == []
    assert re.search(r"\b(nan|inf)\b", text) is None
    for width in re.findall(r'(?:width|x|cx|x1|x2)="([^"]*)%"', text):
        assert -0.01 <= float(width) <= 100.01


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("topology",), "threshold"),
        (("parameters", "scheme"), "rot13"),
        (("processes", 0, "role"), "observer"),
        (("targets",), {}),
        (("agreement", "max_abs_score_error"), math.nan),
        (("seconds", "total"), math.inf),
        (("seconds", "total"), "27"),
        (("bytes", "grocer"), 3),
        (("example", "clear"), []),
        (("parameters", "packing"), [4, 512]),
        (("targets", "grocer", "recall@20", "clear"), math.nan),
        (("seconds", "clear"), 10**400),
    ],
)
def test_other_results_are_refused(path: tuple[Any, ...], value: Any) -> None:
    made = results()
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InvalidInput) as caught:
        render(made)
    assert "1453" not in str(caught.value)


@pytest.mark.parametrize("field", sorted(results()))
def test_a_missing_field_is_named(field: str) -> None:
    made = results()
    del made[field]
    with pytest.raises(InvalidInput, match=f"lack a field: expected {field}"):
        render(made)


def test_results_are_not_changed() -> None:
    made = results()
    before = copy.deepcopy(made)
    render(made)
    assert made == before


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (figures.quality(0.52551), "0.526"),
        (figures.gain(-0.0412), "−0.041"),
        (figures.gain(-0.00001), "+0.000"),
        (figures.change(0.0), "0"),
        (figures.change(-0.00004), "<0.0001"),
        (figures.change(-0.00012), "−0.0001"),
        (figures.at_most(0.00011), "0.0002"),
        (figures.at_most(0.0002), "0.0002"),
        (figures.at_most(0.0), "0"),
        (figures.seconds(0.0), "0 s"),
        (figures.seconds(0.004), "<0.01 s"),
        (figures.seconds(11.1036), "11.10 s"),
        (figures.seconds(4e15), "4.0 × 10¹⁵ s"),
        (figures.size(0), "0 bytes"),
        (figures.size(999), "999 bytes"),
        (figures.size(19848355), "19.8 MB"),
        (figures.size(159301102), "159 MB"),
        (figures.size(999_999), "1.0 MB"),
        (figures.size(10**24), "1000000 EB"),
        (figures.scientific(0.0001739), "1.7 × 10⁻⁴"),
        (figures.scientific(-2e30), "−2.0 × 10³⁰"),
        (figures.scientific(0.0), "0"),
        (figures.share(0.9998457), "99.98 %"),
        (figures.share(0.9999999), "99.99 %"),
        (figures.share(1.0), "100.00 %"),
        (figures.share(1e-9), "0.01 %"),
        (figures.relative(0.55, 0.5), "10.0 %"),
        (figures.power(128), "¹²⁸"),
    ],
)
def test_figures_are_written_as_documented(written: str, expected: str) -> None:
    assert written.replace("\N{NO-BREAK SPACE}", " ") == expected


def test_a_table_refuses_rows_of_another_length() -> None:
    with pytest.raises(ValueError, match="zip"):
        table("caption", [Column("one"), Column("two")], [["only one"]])


@pytest.mark.parametrize(("epsilon", "shown"), [(0.0, "none"), (2.5, "epsilon 2.5")])
def test_the_report_says_whether_differential_privacy_was_agreed_on(
    epsilon: float, shown: str
) -> None:
    changed = results()
    changed["parameters"] |= {"epsilon": epsilon, "delta": 1e-6 if epsilon else 0.0}
    text = Page(render(changed)).text
    assert re.search(rf"Differential privacy\s*{shown}", text)
    assert ("None was agreed on" in text) == (epsilon == 0)
