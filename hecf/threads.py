"""How many threads arithmetic may use in this process: BLAS, and the loops in C that follow it."""

from __future__ import annotations

import os
import re

from threadpoolctl import threadpool_limits

from hecf.errors import ConfigurationError

ENVIRONMENT = "HECF_THREADS"
"""Variable that limits the threads of every process that computes with :mod:`hecf.he`."""

MOST = 1024

_LIBRARIES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")


def limit_threads(count: int) -> None:
    """Let arithmetic use at most so many threads, from now on and in child processes too.

    It never uses more than there are processors, whatever the number.

    Parameters
    ----------
    count : int
        From 1 to :data:`MOST`.

    Raises
    ------
    ConfigurationError
        If the number is out of its range.
    """
    if not 1 <= count <= MOST:
        raise ConfigurationError(
            "the number of threads is out of range", got=count, expected=f"1 to {MOST}"
        )
    # A library that is loaded later, here or in a child, reads its variable then.
    for name in (ENVIRONMENT, *_LIBRARIES):
        os.environ[name] = str(count)
    # A loaded library would start more threads than processors, and one that is loaded later not.
    threadpool_limits(limits=min(count, os.cpu_count() or 1))


def limit_threads_from_environment() -> None:
    """Follow the variable ``HECF_THREADS``, if it is set.

    Raises
    ------
    ConfigurationError
        If it is not a number from 1 to :data:`MOST`.
    """
    value = os.environ.get(ENVIRONMENT)
    if value is None:
        return
    if re.fullmatch(r"[0-9]{1,4}", value) is None:
        raise ConfigurationError(
            f"the variable {ENVIRONMENT} is not a number",
            got=repr(value[:20]),
            expected=f"1 to {MOST}",
        )
    limit_threads(int(value))
