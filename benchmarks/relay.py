"""Pass TCP connections on, and every byte of them later by a fixed time.

Usage: ``python -m benchmarks.relay FROM TO SECONDS``, with addresses as HOST:PORT. It ends with its
input, and so with whoever started it. A kernel without netem delays nothing by itself; unlike it,
a relay answers handshakes of TCP at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_CHUNK = 1 << 16
_WAITING_CHUNKS = 256
"""Chunks on their way in one direction, 16 MiB: more than any network here holds."""


async def serve(source: str, target: str, seconds: float) -> None:
    """Relay from one address to another until this program's input ends."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = await asyncio.open_connection(*_address(target), limit=_CHUNK)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            _pass_on(reader, onward[1], seconds), _pass_on(onward[0], writer, seconds)
        )

    host, port = _address(source)
    server = await asyncio.start_server(connected, host, port, limit=_CHUNK)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    async with server:
        await asyncio.to_thread(sys.stdin.read)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING_CHUNKS)

    async def take() -> None:
        data = b"-"
        while data:
            try:
                data = await reader.read(_CHUNK)
            except OSError:
                data = b""
            await waiting.put((loop.time() + seconds, data))

    async def give() -> None:
        while True:
            due, data = await waiting.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if not data:
                writer.close()
                return
            with contextlib.suppress(OSError):
                writer.write(data)
                await writer.drain()

    await asyncio.gather(take(), give())


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], float(sys.argv[3])))
