"""Look at a page in a real browser: what it complains of, how wide it is, what its images say."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = "HECF_BROWSER"
"""Set to ``required`` where a machine without a browser is an error, as in CI."""

PHONE, DESK = 360, 1280
SCHEMES = ("light", "dark")

_SIZE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_BACKGROUND = "getComputedStyle(document.body).backgroundColor"
_SPILT = """
[...document.querySelectorAll("main *")].filter(
  each => !each.closest(".scroll") && each.getBoundingClientRect().right > innerWidth + 1
).map(each => each.tagName.toLowerCase())
"""


def installed() -> str | None:
    """Path of a browser of this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def required() -> bool:
    """Whether this machine must have one."""
    return os.environ.get(REQUIRED) == "required"


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Start a browser without a window."""
    with sync_playwright() as playwright:
        # Its own sandbox needs rights that a container's root does not have.
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield running
        finally:
            running.close()


def faults(running: Browser, text: str, width: int, scheme: str) -> list[str]:
    """Say what is wrong with a page at a width, in light or dark."""
    found: list[str] = []
    context = running.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    try:
        page = context.new_page()
        page.on("console", lambda message: found.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: found.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                found.append(f"request: {request.url}") if request.url != "about:blank" else None
            ),
        )
        page.set_content(text)
        spare = page.evaluate(_SIZE)
        if spare > 0:
            found.append(f"{spare} pixels too wide: {', '.join(page.evaluate(_SPILT)) or 'page'}")
        red, green, blue = map(int, re.findall(r"\d+", page.evaluate(_BACKGROUND))[:3])
        if (red + green + blue < 3 * 128) != (scheme == "dark"):
            found.append(f"not {scheme}")
        tree = context.new_cdp_session(page).send("Accessibility.getFullAXTree")
        images = [node for node in tree["nodes"] if node["role"]["value"] in ("image", "img")]
        found += ["an image has no name" for node in images if not node["name"]["value"].strip()]
        if page.locator("figure:not(:has([role=img]))").count():
            found.append("a figure is no image to assistive technology")
    finally:
        context.close()
    return found
