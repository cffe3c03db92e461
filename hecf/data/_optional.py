"""Import of the optional packages that reading data needs, at the moment they are needed.

Encryption and the compute node work without them, so the base installation leaves them out.
"""

from __future__ import annotations

import importlib
from typing import Any

from hecf.errors import ConfigurationError


def optional_module(name: str, extra: str) -> Any:
    """Import the module `name`, or say which extra of hecf installs it.

    Parameters
    ----------
    name : str
        Full module name, for example ``pyarrow.parquet``.
    extra : str
        The extra of the hecf package that brings it.

    Returns
    -------
    module
        Typed as ``Any`` because pyarrow ships no type information.

    Raises
    ------
    ConfigurationError
        If the module cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise ConfigurationError(
            f"the package {package} is needed for this; install it with pip install 'hecf[{extra}]'"
        ) from None
