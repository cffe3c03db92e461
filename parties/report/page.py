"""A whole HTML document around the content of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hecf.errors import InvalidInput
from parties.report.markup import Markup, tag, verbatim
from parties.report.style import STYLE

# The page can neither load nor run anything, whatever a name in the data contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, main: Markup) -> str:
    """Return an HTML document without script that refers to nothing outside itself."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", verbatim(STYLE)),
    )
    document = tag("html", head, tag("body", main), lang="en")
    return f"<!DOCTYPE html>\n{document.text}\n"


def rendered(
    make: Callable[[Mapping[str, Any]], str], results: Mapping[str, Any], command: str
) -> str:
    """Make a page from results, or say what is wrong with them.

    Parameters
    ----------
    make : callable
    results : mapping of str to object
    command : str
        The command that writes such results.

    Raises
    ------
    InvalidInput
        If a field is missing or has another form, or a figure is not finite.
    """
    try:
        return make(results)
    except InvalidInput:
        raise
    except KeyError as error:
        raise InvalidInput("the results lack a field", expected=error.args[0]) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InvalidInput(
            "the results have a field of another form",
            got=type(error).__name__,
            expected=f"what {command} --json writes",
        ) from None
