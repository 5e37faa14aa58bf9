"""Invoke: synchronous, asynchronous, dry, and with a response that comes in pieces."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from littoral.aws.invoke import InvokeResult
from littoral.aws.service import Call, Later, Output, ServiceError, operation
from littoral.functions.api.parts import Operations
from littoral.functions.catalog import Target
from littoral.functions.frames import ID
from littoral.functions.lineage import MOST, followed, recursive, trace_of
from littoral.functions.names import Reference, invalid, new_request_id
from littoral.functions.payload import MAX_EVENT, MAX_SYNC, check_context, check_payload, check_small, too_large
from littoral.functions.streaming import ResponseStream
from littoral.net.message import Body, BodyTooLarge
from littoral.protocols.eventstream import CONTENT_TYPE


class InvokeOperations(Operations):
    @operation(notes="DurableExecutionName and TenantId are refused")
    def invoke(
        self,
        call: Call,
        *,
        function_name: str,
        invocation_type: str = "RequestResponse",
        log_type: str = "None",
        client_context: str | None = None,
        payload: bytes | Body = b"",
        qualifier: str | None = None,
    ) -> Awaitable[Output]:
        tail = log_type == "Tail"
        plain = invocation_type == "RequestResponse" and not client_context
        if (
            plain and isinstance(payload, bytes) and check_small(payload)
        ):  # most calls: nothing to wait for but the event
            if qualifier is not None:
                _, target = self._invocable(function_name, qualifier)
            else:
                target = self._catalog.called(function_name)
                self._parts.readiness.check_invocable(target.function.name)
            return self._run(call, target, payload, b"", tail=tail)
        return self._check_and_run(call, function_name, qualifier, invocation_type, client_context, payload, tail=tail)

    async def _check_and_run(
        self,
        call: Call,
        function_name: str,
        qualifier: str | None,
        invocation_type: str,
        client_context: str | None,
        payload: bytes | Body,
        *,
        tail: bool,
    ) -> Output:
        if invocation_type not in ("RequestResponse", "Event", "DryRun"):
            raise invalid(f"InvocationType must be RequestResponse, Event or DryRun, not {invocation_type[:50]}")
        reference, target = self._invocable(function_name, qualifier)
        context = _client_context(client_context)
        limit = MAX_EVENT if invocation_type == "Event" else MAX_SYNC
        event = await _whole(payload, limit, invocation_type)
        if not check_small(event):
            event = await check_payload(event, limit, invocation_type)
        if invocation_type == "DryRun":
            return {"StatusCode": 204}
        if invocation_type == "Event":
            trace, _ = followed(trace_of(call.request.headers.get("x-amzn-trace-id")), target.function.name)
            await self._parts.deliveries.accept(reference, _request_id(call), event, context, trace=trace)
            return {"StatusCode": 202}
        return await self._run(call, target, event, context, tail=tail)

    def _run(self, call: Call, target: Target, event: bytes, context: bytes, *, tail: bool) -> Later[InvokeResult]:
        trace = _trace(call, target)
        done = self._parts.runner.run(target, _request_id(call), event, context, tail=tail, trace=trace)
        return Later(done, _output_with_log if tail else _output)

    @operation(notes="TenantId is refused; nothing slows a response beyond its first 6 MB")
    async def invoke_with_response_stream(
        self,
        call: Call,
        *,
        function_name: str,
        invocation_type: str = "RequestResponse",
        log_type: str = "None",
        client_context: str | None = None,
        payload: bytes | Body = b"",
        qualifier: str | None = None,
    ) -> Output:
        if invocation_type not in ("RequestResponse", "DryRun"):
            raise invalid(f"InvocationType must be RequestResponse or DryRun, not {invocation_type[:50]}")
        _, target = self._invocable(function_name, qualifier)
        context = _client_context(client_context)
        event = await check_payload(await _whole(payload, MAX_SYNC, invocation_type), MAX_SYNC, invocation_type)
        if invocation_type == "DryRun":
            return {"StatusCode": 204}
        tail = log_type == "Tail"
        trace = _trace(call, target)
        stream = await self._parts.runner.stream(target, _request_id(call), event, context, tail=tail, trace=trace)
        return {
            "StatusCode": 200,
            "ExecutedVersion": stream.executed_version,
            "ResponseStreamContentType": CONTENT_TYPE,
            "EventStream": StreamEvents(stream, tail=tail),
        }

    def _invocable(self, function_name: str, qualifier: str | None) -> tuple[Reference, Target]:
        reference = self._home.parse(function_name, qualifier)
        target = self._catalog.resolve(reference)
        self._parts.readiness.check_invocable(reference.name)
        return reference, target

    @operation(notes="deprecated by AWS in favour of Invoke; the same as its InvocationType Event")
    async def invoke_async(self, call: Call, *, function_name: str, invoke_args: bytes | Body) -> Output:
        await self.invoke(call, function_name=function_name, invocation_type="Event", payload=invoke_args)
        return {"Status": 202}


def _output(result: InvokeResult) -> Output:
    output: Output = {
        "StatusCode": 200,
        "Payload": result.payload,
        "ExecutedVersion": result.executed_version,
    }
    if result.function_error is not None:
        output["FunctionError"] = result.function_error
    return output


def _output_with_log(result: InvokeResult) -> Output:
    return _output(result) | {"LogResult": base64.b64encode(result.log_tail).decode()}


class StreamEvents:
    """A response's pieces as the model's events: PayloadChunk for each, then InvokeComplete."""

    def __init__(self, stream: ResponseStream, *, tail: bool) -> None:
        self._stream = stream
        self._tail = tail
        self._complete = False

    def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        return self

    async def __anext__(self) -> tuple[str, dict[str, Any]]:
        if self._complete:
            raise StopAsyncIteration
        try:
            return "PayloadChunk", {"Payload": await anext(self._stream)}
        except StopAsyncIteration:
            self._complete = True
            return "InvokeComplete", self._conclusion()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _conclusion(self) -> dict[str, Any]:
        result = self._stream.result
        assert result is not None
        shown: dict[str, Any] = {}
        if result.function_error is not None:
            shown |= {
                "ErrorCode": _error_type(result.payload),
                "ErrorDetails": result.payload.decode("utf-8", "replace"),
            }
        if self._tail:
            shown["LogResult"] = base64.b64encode(result.log_tail).decode()
        return shown


def _error_type(payload: bytes) -> str:
    try:
        return str(json.loads(payload)["errorType"])
    except (ValueError, TypeError, KeyError, RecursionError):  # a runtime of one's own may say what it likes
        return "Unhandled"


async def _whole(payload: bytes | Body, limit: int, kind: str) -> bytes:
    if isinstance(payload, bytes):
        return payload
    try:
        return await payload.read(limit)
    except BodyTooLarge:
        raise too_large(kind, limit, None) from None


def _trace(call: Call, target: Target) -> str:
    """The X-Ray header for the function. Raises RecursiveInvocationException."""
    header = call.request.headers.get("x-amzn-trace-id")
    if header is None:
        return ""
    trace, count = followed(trace_of(header), target.function.name)
    if count > MOST and target.function.recursive_loop != "Allow":
        raise recursive()
    return trace


def _request_id(call: Call) -> str:
    """The call's own, as in AWS, when it has the length that frames and records need."""
    return call.request_id if len(call.request_id) == ID else new_request_id()


def _client_context(text: str | None) -> bytes:
    """JSON of the mobile SDK's context; raises InvalidRequestContentException."""
    if not text:
        return b""
    check_context(len(text))
    try:
        decoded = base64.b64decode(text, validate=True)
        if not isinstance(json.loads(decoded), dict):
            raise TypeError("no object")
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise ServiceError(
            "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.", status=400
        ) from None
    return decoded
