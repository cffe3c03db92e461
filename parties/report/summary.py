"""The figures of the report that are computed from several results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from hecf.errors import InvalidInput
from hecf.he.plan import SCHEMES


@dataclass(frozen=True)
class Summary:
    """What the first lines of the report say.

    Parameters
    ----------
    metric : str
        The first measure, such as recall@20.
    popularity, clear, coalition : float
        Its plain mean over the targets, for most popular items, the clear computation, and what
        the coalition computed.
    largest_change : float
        Largest difference between coalition and clear in any measure of any target.
    sent : int
        Bytes that all processes sent.
    encrypted : bool
        Whether the coalition's results were computed under encryption.
    one_process : bool
        Whether several parties ran in the same operating-system process.
    """

    metric: str
    popularity: float
    clear: float
    coalition: float
    largest_change: float
    sent: int
    encrypted: bool
    one_process: bool

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Self:
        """Summarise the results of a run.

        Raises
        ------
        InvalidInput
            If there is no target, or the scheme is unknown.
        """
        scheme = results["parameters"]["scheme"]
        if scheme not in SCHEMES:
            raise InvalidInput(
                "the results have an unknown scheme", got=scheme, expected=" or ".join(SCHEMES)
            )
        targets = list(results["targets"].values())
        if not targets or not targets[0]:
            raise InvalidInput("the results name no target", got=0, expected="at least 1")
        metric = next(iter(targets[0]))
        mean = {
            model: sum(target[metric][model] for target in targets) / len(targets)
            for model in ("popularity", "clear", "encrypted")
        }
        pids = [process["pid"] for process in results["processes"]]
        return cls(
            metric=metric,
            popularity=mean["popularity"],
            clear=mean["clear"],
            coalition=mean["encrypted"],
            largest_change=max(
                abs(models["encrypted"] - models["clear"])
                for target in targets
                for models in target.values()
            ),
            sent=sum(count["sent"] for count in results["bytes"].values()),
            encrypted=scheme != "clear",
            one_process=len(set(pids)) < len(pids),
        )

    @property
    def model(self) -> str:
        """What to call the coalition's results."""
        return "encrypted" if self.encrypted else "coalition"
