"""Networks for which the cost of moving bytes is projected and measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """A connection between a compute node and everybody else.

    Parameters
    ----------
    name : str
    bits : float
        Bits in a second.
    round_trip : float
        Seconds there and back.
    """

    name: str
    bits: float
    round_trip: float

    @property
    def title(self) -> str:
        """Name, bandwidth and round trip."""
        return f"{self.name}: {_bandwidth(self.bits)}, {1e3 * self.round_trip:g} ms"

    def seconds(self, size: int) -> float:
        """Seconds to move so many bytes, one after the other, and one round trip."""
        return 8 * size / self.bits + self.round_trip


def _bandwidth(bits: float) -> str:
    return f"{bits / 1e9:g} Gbit/s" if bits >= 1e9 else f"{bits / 1e6:g} Mbit/s"


LAN = Network("LAN", 1e9, 1e-3)
WAN = Network("WAN", 1e8, 40e-3)
