"""A drawing of the coalition: what flows between retailers, compute node and key holder."""

from __future__ import annotations

from parties.report.markup import Markup, picture, tag


def drawing(retailers: int, encrypted: bool, blinded: bool) -> Markup:
    """Draw a topology with one key holder and the collusion that breaks it.

    Parameters
    ----------
    retailers : int
    encrypted : bool
        Whether what flows is encrypted; otherwise it is called plain numbers.
    blinded : bool
        Whether the node gives masks of scores to the retailers.
    """
    flowing = "ciphertexts" if encrypted else "plain numbers"
    results = "encrypted results" if encrypted else "plain results"
    key = "holds the secret key" if encrypted else "holds a stand-in key"
    danger = (
        ("if these two collude,", "the promise is broken")
        if encrypted
        else ("not encrypted:", "nothing is hidden here")
    )
    without = "has no key" if encrypted else "reads everything"
    masks = "The node gives the retailers the masks of their scores. " if blinded else ""
    shapes = [
        tag("rect", x="208", y="6", width="160", height="208", rx="6", class_="danger"),
        *_box(2, 62, 112, 92, "Retailers", f"{retailers} of them,", "data stays home"),
        *_box(219, 20, 138, 58, "Compute node", without),
        *_box(219, 142, 138, 58, "Key holder", key),
        *_arrow("M114 84 L209 52", "219,49 208.5,47.5 211.5,56"),
        _text(152, 48, flowing, "quiet"),
        *_arrow("M236 78 L236 132", "236,142 231.5,132 240.5,132"),
        _text(301, 114, results, "quiet"),
        *_arrow("M219 172 L124 138", "114,134.5 124.5,133.5 121.5,142"),
        _text(152, 190, "released results", "quiet"),
        *(_MASKS if blinded else ()),
        _text(288, 231, danger[0], "danger-text"),
        _text(288, 246, danger[1], "danger-text"),
    ]
    image = tag("svg", *shapes, viewBox="0 0 370 254", aria_hidden="true", focusable="false")
    return picture(
        f"Diagram. {retailers} retailers keep their data and send {flowing} to the compute node, "
        f"which {without}. The node passes {results} to the key holder, which {key} and gives "
        f"released results to the retailers. {masks}"
        f"Node and key holder together: {' '.join(danger)}.",
        image,
        class_="topology",
    )


def _box(x: int, y: int, width: int, height: int, title: str, *lines: str) -> list[Markup]:
    middle = x + width // 2
    first = y + height // 2 + 4 - 8 * len(lines)
    parts = [
        tag(
            "rect",
            x=str(x),
            y=str(y),
            width=str(width),
            height=str(height),
            rx="4",
            class_="box",
        ),
        _text(middle, first, title, "title"),
    ]
    return parts + [
        _text(middle, first + 17 * number, line, "quiet") for number, line in enumerate(lines, 1)
    ]


def _arrow(path: str, head: str) -> list[Markup]:
    return [tag("path", d=path, class_="arrow"), tag("polygon", points=head, class_="head")]


def _text(x: int, y: int, content: str, style: str) -> Markup:
    return tag("text", content, x=str(x), y=str(y), text_anchor="middle", class_=style)


_MASKS = (
    *_arrow("M219 70 L124 104", "114,107.6 124.4,108.4 121.4,100"),
    _text(186, 100, "masks", "quiet"),
)
