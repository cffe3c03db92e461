"""What happens around every call of a server: identity, authority, caps, errors and counting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import grpc
import structlog

from hecf.errors import HecfError
from hecf.measure import Measurements
from hecf.rpc.allowed import fingerprint_of
from hecf.rpc.audit import Audit
from hecf.rpc.authority import EVENTS, HEALTH_CHECK, REFLECTION, authenticated, authorise
from hecf.rpc.calls import Calls, OpenCall
from hecf.rpc.counting import counting_deserializer, counting_serializer
from hecf.rpc.identity import Party
from hecf.rpc.status import public_error, reason_of, rich_status

_SAN = "x509_subject_alternative_name"
_CERTIFICATE = "x509_pem_cert"
_HEALTH_WATCH = HEALTH_CHECK.replace("Check", "Watch")
_ANSWERED = "OK"


class GateInterceptor(grpc.ServerInterceptor):
    """Authenticates and authorises every call before its handler runs.

    Parameters
    ----------
    identifier : str
        The coalition's identifier.
    retailers : tuple of str
        Retailers of the coalition's terms.
    calls : Calls
        Admits calls within the caps.
    measurements : Measurements
        Counts the bytes of every message.
    audit : Audit
        Takes down what was done, before its answer leaves, and what was refused.
    """

    def __init__(
        self,
        identifier: str,
        retailers: tuple[str, ...],
        calls: Calls,
        measurements: Measurements,
        audit: Audit,
    ) -> None:
        self._identifier = identifier
        self._retailers = retailers
        self._calls = calls
        self._measurements = measurements
        self._audit = audit
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
            run = self._guarded(handler.unary_unary, method, _one_request)
            return grpc.unary_unary_rpc_method_handler(run, **counted)
        if handler.stream_unary:
            run = self._guarded(handler.stream_unary, method, OpenCall.requests)
            return grpc.stream_unary_rpc_method_handler(run, **counted)
        # A watch of the health would hold a thread of the server for as long as its caller likes.
        if handler.unary_stream and method != _HEALTH_WATCH:
            stream = self._guarded_stream(handler.unary_stream, method, _one_request)
            return grpc.unary_stream_rpc_method_handler(stream, **counted)
        if handler.stream_stream and method == REFLECTION:
            stream = self._guarded_stream(handler.stream_stream, method, OpenCall.requests)
            return grpc.stream_stream_rpc_method_handler(stream, **counted)
        return None

    def _guarded(self, behaviour: Any, method: str, read: Any) -> Callable[[Any, Any], Any]:
        def run(request: Any, context: grpc.ServicerContext) -> Any:
            call = None
            try:
                with self._admitted(context, method) as call:
                    response = behaviour(read(call, request), call)
                    call.check()
                    call.send(response)
                    self._take_down(call, method)
            except Exception as error:  # every failure gets a public text
                self._fail(_cause(call, error), context, method)
            self._calls.count(method, _ANSWERED)
            return response

        return run

    def _guarded_stream(
        self, behaviour: Any, method: str, read: Any
    ) -> Callable[[Any, Any], Iterator[Any]]:
        def run(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            call = None
            try:
                with self._admitted(context, method) as call:
                    for number, response in enumerate(behaviour(read(call, request), call)):
                        call.check()
                        call.send(response)
                        if number == 0:
                            self._take_down(call, method)
                        yield response
            except Exception as error:  # every failure gets a public text
                self._fail(_cause(call, error), context, method)
            self._calls.count(method, _ANSWERED)

        return run

    def _admitted(
        self, context: grpc.ServicerContext, method: str
    ) -> AbstractContextManager[OpenCall]:
        party = caller(context, self._identifier)
        authorise(party, method, self._retailers)
        certificates: Any = context.auth_context().get(_CERTIFICATE, (b"",))
        return self._calls.admitted(
            context,
            party,
            fingerprint_of(certificates[0]),
            while_draining=method == HEALTH_CHECK,
        )

    def _take_down(self, call: OpenCall, method: str) -> None:
        event = EVENTS.get(method)
        if event is not None:
            self._audit.record(event, call.party.name, task=call.task, received=call.received)

    def _fail(self, error: Exception, context: grpc.ServicerContext, method: str) -> NoReturn:
        public, identifier = public_error(error)
        name = type(error).__name__
        self._audit.refuse(self._named(context), method, reason_of(type(public)))
        self._calls.count(method, type(public).__name__)
        if isinstance(error, grpc.RpcError) and not context.is_active():
            # The caller has gone in the middle of its own upload; nobody reads a status.
            self._log.info("call ended by its caller", method=method)
        elif identifier:
            # The text of an unexpected error may hold anything, so only its place is logged.
            place = {"failure": identifier, "at": _place(error)}
            self._log.warning("call failed", method=method, error=name, **place)
        else:
            self._log.warning("call refused", method=method, error=name)
        context.abort_with_status(rich_status(public))
        raise AssertionError("abort raises")

    def _named(self, context: grpc.ServicerContext) -> str:
        try:
            return caller(context, self._identifier).name
        except HecfError:
            return ""


def caller(context: grpc.ServicerContext, identifier: str) -> Party:
    """Read the authenticated party of a call; raises PermissionDenied."""
    names: Any = context.auth_context().get(_SAN, ())
    return authenticated(identifier, list(names))


def _one_request(call: OpenCall, request: Any) -> Any:
    call.receive(request)
    return request


def _cause(call: OpenCall | None, error: Exception) -> Exception:
    """Return what ended a call: the refusal that reached it from outside, if there is one."""
    return error if call is None or call.refusal is None else call.refusal


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown"
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
