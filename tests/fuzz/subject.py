"""A parser to be fuzzed, and how to make one of what has a form of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from samples import Message

from hecf.errors import MalformedMessage


@dataclass(frozen=True)
class Subject:
    """A parser and an input that it accepts.

    Parameters
    ----------
    message : Message
        Input, parser, writer, and a check of what was parsed that does not use the parser.
    exact : bool
        Whether what is accepted has one form only, so that writing it gives the same bytes.
        Texts and protobuf have several; there writing and parsing again must change nothing.
    """

    message: Message
    exact: bool = True


def decoded(kind: Any, data: bytes) -> Any:
    """A protobuf message; what protobuf itself refuses never reaches hecf."""
    try:
        return kind.FromString(data)
    except Exception as error:
        raise MalformedMessage("protobuf refuses these bytes") from error


def exact(
    made: Any, parse: Callable[[bytes], Any], valid: Callable[[Any], bool] = lambda parsed: True
) -> Subject:
    return Subject(Message(made.to_bytes(), parse, lambda parsed: parsed.to_bytes(), valid))


def text(content: str, parse: Callable[[str], Any], write: Callable[[Any], str]) -> Subject:
    return Subject(
        Message(
            content.encode(),
            lambda data: parse(data.decode("utf-8", "replace")),
            lambda parsed: write(parsed).encode(),
            lambda parsed: True,
        ),
        exact=False,
    )
