"""Two network namespaces joined by a link of bounded bandwidth, gone with whoever made them.

A namespace has no name: it lives as long as a process in it. One that waits for the end of its
input holds it, so that nothing stays behind, whatever ends this process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from hecf.errors import ConfigurationError

_TOOLS = ("unshare", "nsenter", "ip", "tc")
_LINK = "hecf0"
_SMALLEST_BURST = 1 << 16
_BURST_SECONDS = 0.01
"""Traffic that the bucket lets through at once: more than between two ticks of the kernel."""

_QUEUE = "100ms"
_PATIENCE_SECONDS = 5.0


class Namespace:
    """A network namespace of its own, with nothing but a loopback, as a context manager.

    Raises
    ------
    ConfigurationError
        If this machine or this user makes none.
    """

    def __init__(self) -> None:
        missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
        if missing or os.geteuid() != 0:
            raise ConfigurationError(
                "network namespaces cannot be made",
                got=f"no {missing[0]}" if missing else "a user without rights",
                expected="root, with iproute2 and util-linux",
            )
        self._holder = subprocess.Popen(  # noqa: S603
            [_path("unshare"), "--net", _path("cat")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C must not end it before the processes inside.
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        own = Path("/proc/self/ns/net").readlink()
        while self._holder.poll() is None and time.monotonic() < deadline:
            if Path(f"/proc/{self.pid}/ns/net").readlink() != own:
                self.run("ip", "link", "set", "lo", "up")
                return self
            time.sleep(0.01)
        self.close()
        raise ConfigurationError(
            "network namespaces cannot be made",
            got="a refusal of the kernel",
            expected="CAP_SYS_ADMIN",
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process that holds the namespace."""
        return self._holder.pid

    @property
    def words(self) -> tuple[str, ...]:
        """What stands before a command that is to run inside."""
        return (_path("nsenter"), f"--net=/proc/{self.pid}/ns/net")

    def run(self, *command: str) -> None:
        """Run a command inside.

        Raises
        ------
        ConfigurationError
            If it fails, with what it says.
        """
        done = subprocess.run([*self.words, *command], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise ConfigurationError(
                f"a network cannot be set up by {command[0]}", got=said[-1] if said else "no reason"
            )

    def close(self) -> None:
        """Let go of the namespace."""
        if self._holder.stdin is not None:
            self._holder.stdin.close()
        self._holder.wait()


def join(first: Namespace, second: Namespace, addresses: tuple[str, str]) -> None:
    """Connect two namespaces by a link; each gets one of two addresses of a network of 30 bits."""
    first.run(
        "ip", "link", "add", _LINK, "type", "veth", "peer", "name", _LINK, "netns", str(second.pid)
    )
    for namespace, address in zip((first, second), addresses, strict=True):
        namespace.run("ip", "address", "add", f"{address}/30", "dev", _LINK)
        namespace.run("ip", "link", "set", _LINK, "up")


def shape(first: Namespace, second: Namespace, bits: float) -> None:
    """Bound the bandwidth of their link, each way, by a token bucket."""
    burst = max(_SMALLEST_BURST, round(_BURST_SECONDS * bits / 8))
    for namespace in (first, second):
        namespace.run(
            "tc",
            "qdisc",
            "replace",
            "dev",
            _LINK,
            "root",
            "tbf",
            "rate",
            f"{bits:.0f}bit",
            "burst",
            str(burst),
            "latency",
            _QUEUE,
        )


def _path(tool: str) -> str:
    return shutil.which(tool) or tool
