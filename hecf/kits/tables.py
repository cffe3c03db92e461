"""Tables of TOML files as checked values; what is wrong with a file is one sentence.

It names the file, the key, what stands there and what may.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from hecf.errors import ConfigurationError
from hecf.kits.files import read_limited

_LARGEST_FILE = 1 << 20
_LONGEST_EXCERPT = 80
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


def refusal(got: str, expected: str, key: str = "") -> PydanticCustomError:
    """Carry got, expected and the key below the validated section to :func:`_sentence`."""
    context = {"got": got, "expected": expected, "key": key}
    return PydanticCustomError("refused", "refused", context)


def excerpt(value: object) -> str:
    """Show a value in a sentence, cut if it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}..."


def _path(value: object, information: ValidationInfo) -> Path:
    printable = isinstance(value, str) and value.strip() != "" and value.isprintable()
    if not isinstance(value, str) or not printable:
        raise refusal(excerpt(value), "a path as text")
    context: Mapping[str, Path] = information.context or {}
    return context.get("folder", Path.cwd()) / value


LocalPath = Annotated[Path, BeforeValidator(_path)]


class Section(BaseModel):
    """A table of a configuration file: exact types, no unknown keys, immutable."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    raise refusal("an unknown key", f"one of {', '.join(cls.model_fields)}", key)
        return values


class ConfigurationFile(Section):
    """A whole file, read by :meth:`load`."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a file; relative paths in it start at its own folder.

        Raises
        ------
        ConfigurationError
            If the file cannot be read, is not TOML, or a key is missing, unknown, out of its
            range or in conflict with another.
        """
        content = parse_toml(path)
        try:
            return cls.model_validate(content, context={"folder": path.parent.absolute()})
        except ValidationError as error:
            raise _sentence(path, error.errors(include_url=False)[0]) from None
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{path} cannot be used because {error.message}",
                got=excerpt(error.got),
                expected=error.expected,
            ) from None


def exactly_one(**alternatives: object) -> None:
    """Refuse several of some alternatives, and none."""
    given = [name for name, value in alternatives.items() if value is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none of them"
        raise refusal(got, f"either {' or '.join(alternatives)}", next(iter(alternatives)))


def parse_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of bounded size; raises ConfigurationError."""
    raw = read_limited(path, _LARGEST_FILE)
    try:
        text = raw.decode()
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _not_toml(path, f"bytes that are not UTF-8 at line {line}") from None
    except RecursionError:
        raise _not_toml(path, "values nested too deeply") from None
    except ValueError as error:
        last = f"line {text.count(chr(10)) + 1}"
        raise _not_toml(path, str(error).replace("end of document", last)) from None


def _not_toml(path: Path, got: str) -> ConfigurationError:
    return ConfigurationError(f"{path} is not a TOML file", got=got, expected="TOML 1.0")


def _sentence(path: Path, detail: ErrorDetails) -> ConfigurationError:
    """Turn the first of pydantic's findings into one sentence."""
    parts = [str(part) for part in detail["loc"]]
    if detail["type"] == "refused":
        context = detail["ctx"]
        parts += [context["key"]] if context["key"] else []
        got, expected = context["got"], context["expected"]
    elif detail["type"] == "missing":
        got, expected = "nothing", "a value"
    elif detail["type"] in ("model_type", "model_attributes_type", "mapping_type", "dict_type"):
        got, expected = excerpt(detail["input"]), "a table"
    else:
        got = excerpt(detail["input"])
        expected = detail["msg"].removeprefix("Input should be ")
    # Names with a dot come from the code, all others must not break the sentence.
    shown = ".".join(
        part if all(map(_BARE_KEY.fullmatch, part.split("."))) else json.dumps(part[:64])
        for part in parts
    )
    key = shown or "the top level"
    return ConfigurationError(f"{key} in {path} cannot be used", got=got, expected=expected)
