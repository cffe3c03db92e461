"""What happens around every call of a server: identity, authority, errors and counting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc
import structlog

from hecf.errors import HecfError
from hecf.measure import Measurements
from hecf.rpc.authority import HEALTH_CHECK, authenticated, authorise
from hecf.rpc.counting import counting_deserializer, counting_serializer
from hecf.rpc.identity import Party
from hecf.rpc.status import METADATA_KEY, STATUS, public_error

_SAN = "x509_subject_alternative_name"
_LONGEST_TEXT = 1000


class GateInterceptor(grpc.ServerInterceptor):
    """Authenticates and authorises every call before its handler runs.

    Parameters
    ----------
    identifier : str
        The coalition's identifier.
    retailers : tuple of str
        Retailers of the coalition's terms.
    measurements : Measurements
        Counts the bytes of every message.
    """

    def __init__(
        self, identifier: str, retailers: tuple[str, ...], measurements: Measurements
    ) -> None:
        self._identifier = identifier
        self._retailers = retailers
        self._measurements = measurements
        self._log = structlog.get_logger("hecf.rpc")

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Wrap the handler of a method."""
        handler = continuation(details)
        if handler is None:
            return None
        method = details.method
        counted = {
            "request_deserializer": counting_deserializer(
                handler.request_deserializer, self._measurements
            ),
            "response_serializer": counting_serializer(
                handler.response_serializer, self._measurements
            ),
        }
        if handler.unary_unary:
            run = self._guarded(handler.unary_unary, method)
            return grpc.unary_unary_rpc_method_handler(run, **counted)
        if handler.stream_unary:
            run = self._guarded(handler.stream_unary, method)
            return grpc.stream_unary_rpc_method_handler(run, **counted)
        if handler.unary_stream and method != HEALTH_CHECK.replace("Check", "Watch"):
            stream = self._guarded_stream(handler.unary_stream, method)
            return grpc.unary_stream_rpc_method_handler(stream, **counted)
        return None

    def _guarded(self, behaviour: Any, method: str) -> Callable[[Any, Any], Any]:
        def run(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                self._admit(context, method)
                return behaviour(request, context)
            except Exception as error:  # every failure gets a public text
                self._fail(error, context, method)

        return run

    def _guarded_stream(self, behaviour: Any, method: str) -> Callable[[Any, Any], Iterator[Any]]:
        def run(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            try:
                self._admit(context, method)
                yield from behaviour(request, context)
            except Exception as error:  # every failure gets a public text
                self._fail(error, context, method)

        return run

    def _admit(self, context: grpc.ServicerContext, method: str) -> None:
        party = caller(context, self._identifier)
        authorise(party, method, self._retailers)

    def _fail(self, error: Exception, context: grpc.ServicerContext, method: str) -> NoReturn:
        public, identifier = public_error(error)
        event = "call failed" if identifier else "call refused"
        fields = {"method": method, "error": type(error).__name__}
        if identifier:
            # The text of an unexpected error may hold anything, so only its place is logged.
            fields |= {"failure": identifier, "at": _place(error)}
        self._log.warning(event, **fields)
        context.set_trailing_metadata(((METADATA_KEY, type(public).__name__),))
        # What a caller sent can stand in the text, and trailers hold a few kilobytes only.
        context.abort(_status(public), str(public)[:_LONGEST_TEXT])
        raise AssertionError("abort raises")


def caller(context: grpc.ServicerContext, identifier: str) -> Party:
    """Read the authenticated party of a call; raises PermissionDenied."""
    names: Any = context.auth_context().get(_SAN, ())
    return authenticated(identifier, list(names))


def _status(error: HecfError) -> grpc.StatusCode:
    return STATUS[type(error)]


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown"
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
