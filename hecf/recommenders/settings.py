"""Settings of a model by name, as scikit-learn has them."""

from __future__ import annotations

import inspect
from typing import Any, Self

from hecf.errors import InvalidInput


class Configurable:
    """Something whose settings are keyword arguments of the same names as its attributes."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name, as scikit-learn does."""
        return {name: getattr(self, name) for name in self._settings()}

    def set_params(self, **params: Any) -> Self:
        """Change settings, as scikit-learn does; raises InvalidInput if there is no such one."""
        unknown = sorted(set(params) - set(self._settings()))
        if unknown:
            raise InvalidInput(
                f"{type(self).__name__} has no such setting",
                got=", ".join(unknown),
                expected=f"some of {', '.join(self._settings())}",
            )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({settings})"

    @classmethod
    def _settings(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)
