"""Connections that break, for tests."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable


class Proxy:
    """Passes connections on, counts bytes in one direction, and cuts the first connections.

    ``cuts`` holds for each connection after how many bytes it ends, and what must be true by then.
    """

    def __init__(
        self, target: str, cuts: list[tuple[int, Callable[[], bool]]], *, downloads: bool = False
    ) -> None:
        self._downloads = downloads
        self.passed: list[int] = []
        self._cuts = cuts
        host, port = target.split(":")
        self._target = host, int(port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.05)
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._open = True
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._listening.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            thread = threading.Thread(target=self._pass_on, args=(client, len(self.passed)))
            self.passed.append(0)
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, client: socket.socket, number: int) -> None:
        limit, ready = self._cuts[number] if number < len(self._cuts) else (1 << 40, bool)
        with client, socket.create_connection(self._target) as server:
            other = {client: server, server: client}
            while self._open and self.passed[number] <= limit:
                for source in select.select([client, server], [], [], 0.05)[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    other[source].sendall(data)
                    self.passed[number] += len(data) if self._counts(source, client) else 0
            deadline = time.monotonic() + 10
            while self._open and not ready() and time.monotonic() < deadline:
                time.sleep(0.01)

    def _counts(self, source: socket.socket, client: socket.socket) -> bool:
        return (source is client) is not self._downloads

    def close(self) -> None:
        self._open = False
        for thread in self._threads:
            thread.join()
        self._listening.close()
