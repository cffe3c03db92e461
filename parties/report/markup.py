"""HTML that is escaped and balanced by construction: text becomes markup only through `tag`."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

_VOID = frozenset({"meta", "br"})
# Controls and lone surrogates are valid in JSON and in neither HTML nor UTF-8.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Markup:
    """Finished HTML.

    Parameters
    ----------
    text : str

    Security
    --------
    Made by :func:`tag`, :func:`join` and :func:`verbatim`; whoever makes one from data by hand
    lets that data write the page.
    """

    text: str


Content = Markup | str


def escaped(value: str) -> str:
    """Escape text for element content and quoted attributes."""
    return html.escape(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value))


def join(*parts: Content, separator: str = "") -> Markup:
    """Put content side by side, escaping what is plain text."""
    texts = [part.text if isinstance(part, Markup) else escaped(part) for part in parts]
    return Markup(escaped(separator).join(texts))


def tag(name: str, *children: Content, **attributes: str) -> Markup:
    """Make an element.

    Parameters
    ----------
    name : str
        Name of the element.
    *children : Markup or str
        Content; plain text is escaped.
    **attributes : str
        A trailing underscore is dropped, others become hyphens: ``class_``, ``aria_label``.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(*children).text}</{name}>")


def verbatim(constant: str) -> Markup:
    """Take a constant of this package as it is, for a style sheet; never for data."""
    return Markup(constant)


def name(value: str) -> Markup:
    """Write a name that comes from data, isolated from the direction of the text around it."""
    return tag("bdi", value)


def paragraph(*children: Content, class_: str = "") -> Markup:
    """Make a paragraph."""
    return tag("p", *children, class_=class_) if class_ else tag("p", *children)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    title : str
    numeric : bool
        Whether its cells are figures, which are set flush right.
    """

    title: str
    numeric: bool = False


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Content]],
    *,
    total: bool = False,
    stacked: bool = False,
) -> Markup:
    """Make a captioned table in a box of its own, which scrolls when the table is too wide.

    Parameters
    ----------
    caption : str
    columns : sequence of Column
    rows : sequence of sequences of Markup or str
        Cells; the first of each row is its heading.
    total : bool
        Whether the last row is a sum of the others.
    stacked : bool
        Whether cells stand below each other on a narrow screen, for tables of sentences. The
        roles are written out because a changed display takes them from the elements.
    """

    def roles(role: str) -> dict[str, str]:
        return {"role": role} if stacked else {}

    def cell(column: Column, content: Content, first: bool) -> Markup:
        attributes = {"class_": "figure"} if column.numeric else {}
        if stacked:
            attributes["data_label"] = column.title
        if first:
            return tag("th", content, scope="row", **attributes, **roles("rowheader"))
        return tag("td", content, **attributes, **roles("cell"))

    heads = [
        tag(
            "th",
            column.title,
            scope="col",
            **({"class_": "figure"} if column.numeric else {}),
            **roles("columnheader"),
        )
        for column in columns
    ]
    body = []
    for index, row in enumerate(rows):
        cells = [
            cell(column, content, position == 0)
            for position, (column, content) in enumerate(zip(columns, row, strict=True))
        ]
        last = {"class_": "total"} if total and index == len(rows) - 1 else {}
        body.append(tag("tr", *cells, **last, **roles("row")))
    content = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *heads, **roles("row")), **roles("rowgroup")),
        tag("tbody", *body, **roles("rowgroup")),
        **({"class_": "stacked"} if stacked else {}),
        **roles("table"),
    )
    # A box that scrolls must be reachable by keyboard, and then needs a name.
    return tag("div", content, class_="scroll", role="region", tabindex="0", aria_label=caption)


def picture(label: str, *children: Content, caption: str = "", class_: str = "") -> Markup:
    """Make a figure whose content is one image to assistive technology.

    Parameters
    ----------
    label : str
        What the image shows, with its main figures.
    """
    image = tag("div", *children, role="img", aria_label=label, class_=f"chart {class_}".strip())
    parts = [image, tag("figcaption", caption)] if caption else [image]
    return tag("figure", *parts)
