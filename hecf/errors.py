"""Every error that hecf raises on purpose.

::

    HecfError
    ├── InvalidInput          data or an argument from a user cannot be used
    ├── ConfigurationError    a configuration file, kit or command line is wrong
    ├── ParameterError        encryption parameters or a plan cannot hold what is asked
    ├── MalformedMessage      bytes from another party do not parse
    ├── Mismatch              two parties do not agree on terms, parameters or members
    ├── PermissionDenied      the authenticated party may not do this
    ├── UnknownTask           no such task is visible to the caller
    ├── Conflict              a task or contribution exists already with other content
    ├── Replayed              a contribution was used before, or belongs elsewhere
    ├── TaskEnded             a task was aborted or has expired
    ├── PartyMissing          a party that is needed did not act in time
    ├── LimitExceeded         a size, count or budget is exhausted
    ├── ReleaseRefused        the release gate does not let a result out
    ├── Unavailable           a party cannot be reached
    └── InternalFailure       something broke inside a party; its log says what

Messages are shown to people and travel to other parties. They name sizes, names and
fingerprints, never rows, identifiers of shoppers, keys or ciphertext words.
"""

from __future__ import annotations

_LONGEST_EVIDENCE = 500


class HecfError(Exception):
    """Base of all deliberate errors.

    Parameters
    ----------
    message : str
        One sentence without a full stop that says what is wrong.
    got, expected : object, optional
        The evidence. When given, it is appended to the message and kept in fields.
    """

    def __init__(
        self, message: str, *, got: object | None = None, expected: object | None = None
    ) -> None:
        self.message = message
        self.got = got
        self.expected = expected
        super().__init__(message)

    def __str__(self) -> str:
        parts = [self.message]
        if self.got is not None:
            parts.append(f"got {_shown(self.got)}")
        if self.expected is not None:
            parts.append(f"expected {_shown(self.expected)}")
        if len(parts) == 1:
            return self.message
        return f"{parts[0]}: {', '.join(parts[1:])}"


def _shown(evidence: object) -> str:
    """Evidence as text; what somebody sent may be of any length."""
    text = str(evidence)
    return text if len(text) <= _LONGEST_EVIDENCE else f"{text[:_LONGEST_EVIDENCE]}..."


class InvalidInput(HecfError, ValueError):
    """Data or an argument from a user cannot be used."""


class ConfigurationError(HecfError):
    """A configuration file, a kit or a command line is wrong."""


class ParameterError(HecfError):
    """Encryption parameters are refused, or a plan cannot hold what is asked of it."""


class MalformedMessage(HecfError):
    """Bytes from another party do not have the agreed form."""


class Mismatch(HecfError):
    """Two parties do not agree on terms, parameters, keys or members."""


class PermissionDenied(HecfError):
    """The authenticated party may not do this."""


class UnknownTask(HecfError):
    """No such task, or none that the caller may see; the two look the same."""


class Conflict(HecfError):
    """A task or contribution exists already with other content."""


class Replayed(HecfError):
    """A contribution was used before, or was made for another task."""


class TaskEnded(HecfError):
    """A task was aborted or has expired; there will be no result."""


class PartyMissing(HecfError):
    """A party whose action is needed did not act in time."""


class LimitExceeded(HecfError):
    """A size, a count or a budget is exhausted."""


class ReleaseRefused(HecfError):
    """The release gate does not let a result out."""


class Unavailable(HecfError):
    """A party cannot be reached."""


class InternalFailure(HecfError):
    """Something broke inside a party; only its own log says what."""
