"""Count the bytes of every message at the serialisers, on both sides of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from hecf.measure import Measurements


def counting_serializer(
    serialize: Callable[[Any], bytes], measurements: Measurements
) -> Callable[[Any], bytes]:
    """Wrap a serialiser so that its output counts as sent."""

    def wrapped(message: Any) -> bytes:
        data = serialize(message)
        measurements.add_bytes(sent=len(data))
        return data

    return wrapped


def counting_deserializer(
    deserialize: Callable[[bytes], Any], measurements: Measurements
) -> Callable[[bytes], Any]:
    """Wrap a deserialiser so that its input counts as received."""

    def wrapped(data: bytes) -> Any:
        measurements.add_bytes(received=len(data))
        return deserialize(data)

    return wrapped


class CountingChannel:
    """A channel for generated stubs that counts the bytes of its messages."""

    def __init__(self, channel: grpc.Channel, measurements: Measurements) -> None:
        self._channel = channel
        self._measurements = measurements

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        """Return the channel's callable with counting serialisers.

        A request that nobody took, because no connection came about, has not been sent.
        """
        method = self._channel.unary_unary(*args, **self._counted(kwargs))

        def call(request: Any, timeout: float | None = None) -> Any:
            try:
                return method(request, timeout=timeout)
            except grpc.RpcError as error:
                if _unanswered(error):
                    self._measurements.add_bytes(sent=-request.ByteSize())
                raise

        return call

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """Return the channel's callable with counting serialisers."""
        return self._channel.unary_stream(*args, **self._counted(kwargs))

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """Return the channel's callable with counting serialisers."""
        return self._channel.stream_unary(*args, **self._counted(kwargs))

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _counted(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {
            **kwargs,
            "request_serializer": counting_serializer(
                kwargs["request_serializer"], self._measurements
            ),
            "response_deserializer": counting_deserializer(
                kwargs["response_deserializer"], self._measurements
            ),
        }


def _unanswered(error: grpc.RpcError) -> bool:
    """Whether a call failed on this side; a server that refuses one says why in its trailers."""
    return error.code() is grpc.StatusCode.UNAVAILABLE and not error.trailing_metadata()
