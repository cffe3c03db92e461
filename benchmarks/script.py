"""What every script of the benchmarks does around its work."""

from __future__ import annotations

import sys
from collections.abc import Callable

from hecf.errors import HecfError
from parties.system.lifetime import ERROR_PREFIX, Stopped, caught

_INTERRUPTED = 130


def guarded(work: Callable[[], int]) -> int:
    """Return the exit code of some work; an error is one sentence and 1, a signal 130."""
    try:
        return work()
    except HecfError as error:
        sys.stderr.write(f"{ERROR_PREFIX}{error}\n")
        return 1
    except Stopped:
        caught()
        sys.stderr.write("stopped\n")
        return _INTERRUPTED
