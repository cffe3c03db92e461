"""What one party may take of a server: calls at once, calls and bytes over time (control C06)."""

from __future__ import annotations

from dataclasses import dataclass

from hecf.errors import ConfigurationError, LimitExceeded


@dataclass(frozen=True)
class ServerLimits:
    """Caps of a server.

    Parameters
    ----------
    message_bytes, upload_bytes : int
        Bytes of one message, and of one upload.
    concurrent_calls, party_calls : int
        Calls at once: of everybody, and of one party.
    calls_per_minute, bytes_per_minute : int
        What one party may do on average; a minute's worth of it may come at once.
    call_seconds : float
        How long a call may last, whatever deadline its client has set or not set (control C26).

    Raises
    ------
    ConfigurationError
        If a cap is not positive.
    """

    message_bytes: int
    upload_bytes: int
    concurrent_calls: int
    party_calls: int = 16
    calls_per_minute: int = 6000
    bytes_per_minute: int = 1 << 33
    call_seconds: float = 900.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ConfigurationError(
                    f"the limit {name} is out of range", got=value, expected="more than 0"
                )


class Allowance:
    """An amount that is used up and grows again, as a token bucket.

    Parameters
    ----------
    per_minute : float
        What grows in a minute, and the most that can be saved.
    now : float
        Time in seconds.
    """

    def __init__(self, per_minute: float, now: float) -> None:
        self._most = per_minute
        self._left = per_minute
        self._time = now

    def take(self, amount: float, now: float) -> bool:
        """Use up an amount; False if nothing is left.

        An amount that is larger than what is left leaves a debt, so that a message which has
        arrived already is counted in full.
        """
        grown = (now - self._time) * self._most / 60
        self._left, self._time = min(self._most, self._left + grown), now
        if self._left <= 0:
            return False
        self._left -= amount
        return True


class PartyUsage:
    """What one party has used of a server; the callers hold one lock for all parties."""

    def __init__(self, limits: ServerLimits, now: float) -> None:
        self._limits = limits
        self._calls = Allowance(limits.calls_per_minute, now)
        self._bytes = Allowance(limits.bytes_per_minute, now)
        self.open = 0

    def begin(self, now: float) -> None:
        """Count a call that begins.

        Raises
        ------
        LimitExceeded
            If too many calls are open, or began within a minute.
        """
        if not self._calls.take(1, now):
            raise LimitExceeded(
                "this party calls too often",
                expected=f"at most {self._limits.calls_per_minute} calls a minute",
            )
        if self.open >= self._limits.party_calls:
            raise LimitExceeded(
                "this party has too many calls at once",
                expected=f"at most {self._limits.party_calls}",
            )
        self.open += 1

    def transfer(self, count: int, now: float) -> None:
        """Count bytes in either direction.

        Raises
        ------
        LimitExceeded
            If the bytes of the last minutes are too many.
        """
        if not self._bytes.take(count, now):
            raise LimitExceeded(
                "this party moves too many bytes",
                expected=f"at most {self._limits.bytes_per_minute} a minute",
            )
