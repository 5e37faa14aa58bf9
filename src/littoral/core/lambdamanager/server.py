"""What greengrasssdk asks for, as its core modules here (``functions/greengrass``) send it: HTTP on a Unix socket.

::

    POST /2016-11-01/functions/ARN      Authorization: the component's token
         X-Amz-InvocationType           RequestResponse (answered with the result), or Event (202 once it is durable)
         X-Amz-Client-Context           base64 of JSON
    200  X-Amz-Function-Error           where the function failed: the body is its error object

Three ARNs are services of the core (``nucleus.functions``): publish, shadows, secrets. The latter two do what the IPC's
operations do, by the component's own ``accessControl``; publish goes where the legacy subscription router's
subscriptions lead.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from littoral.aws.invoke import Invocation
from littoral.aws.service import ServiceError
from littoral.core.ipc.calls import Call, Document, Fault, Handler
from littoral.core.lambdamanager.router import Full, SubscriptionRouter
from littoral.core.nucleus.functions import ROUTER, SECRETS, SHADOWS
from littoral.core.nucleus.nucleus import Nucleus
from littoral.core.ports import Functions
from littoral.core.recipe import LambdaComponent
from littoral.core.routes import Routes
from littoral.core.secretmanager import SecretManager
from littoral.net.message import BodyError, Headers, Request, Response
from littoral.protocols.mqtt.topics import BadTopic, check_name
from littoral.store.contract import StoreError, StreamFull

log = logging.getLogger(__name__)

PATH = "/2016-11-01/functions/"
MOST = 6 * 1024 * 1024  # bytes of a payload
SHADOW_OPERATIONS = {"get": "GetThingShadow", "update": "UpdateThingShadow", "delete": "DeleteThingShadow"}
SECRET_VALUES = {"secretString": "SecretString", "secretBinary": "SecretBinary"}
CODES = {"UnauthorizedError": 403, "ResourceNotFoundError": 404, "ConflictError": 409, "ServiceError": 500}


class Refused(Exception):
    """``status`` and the message are the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LambdaManager:
    """``operations`` are the IPC's."""

    def __init__(
        self,
        nucleus: Nucleus,
        functions: Functions,
        routes: Routes,
        router: SubscriptionRouter,
        secrets: SecretManager,
        operations: Mapping[str, Handler],
    ) -> None:
        self._nucleus = nucleus
        self._functions = functions
        self._routes = routes
        self._router = router
        self._secrets = secrets
        self._operations = operations

    async def handle(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except Refused as refused:
            return Response(refused.status, body=str(refused).encode())

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST" or not request.raw_path.startswith(PATH):
            raise Refused(404, f"{request.method} {request.raw_path} is not here")
        caller = self._caller(request.headers.get("authorization") or "")
        arn = unquote(request.raw_path.removeprefix(PATH))
        kind = request.headers.get("x-amz-invocationtype") or "RequestResponse"
        if kind not in ("RequestResponse", "Event"):
            raise Refused(400, f"the invocation type is RequestResponse or Event, not {kind}")
        context = _context(request.headers.get("x-amz-client-context") or "")
        try:
            payload = await request.body.read(MOST)
        except BodyError as problem:
            raise Refused(413, str(problem)) from problem
        if arn == ROUTER:
            return await self._publish(caller, context, payload)
        if arn == SHADOWS:
            return await self._shadow(caller, context, payload)
        if arn == SECRETS:
            return await self._secret(caller, payload)
        target = self._nucleus.functions.of_arn(arn)
        if target is None:
            raise Refused(404, f"there is no function {arn} on this core")
        invoke: Callable[..., Awaitable[Response]] = self._queue if kind == "Event" else self._invoke
        return await invoke(target, context, payload)

    def _caller(self, token: str) -> LambdaComponent:
        name = self._nucleus.of_token(token)
        caller = self._nucleus.functions.component(name) if name is not None else None
        if caller is None:
            raise Refused(401, "the token of a component that is a function is needed")
        return caller

    # ------------------------------------------------------------------------------------------------ functions

    async def _invoke(self, target: LambdaComponent, context: Mapping[str, Any], payload: bytes) -> Response:
        function = f"{target.function}:{target.function_version}"
        try:
            result = await self._functions.invoke(Invocation(function, payload, context, checked=target.binary))
        except ServiceError as problem:
            raise Refused(problem.status or 500, str(problem)) from problem
        headers = [("x-amz-function-error", result.function_error)] if result.function_error else []
        return Response(200, Headers.of(headers), result.payload)

    async def _queue(self, target: LambdaComponent, context: Mapping[str, Any], payload: bytes) -> Response:
        if not target.binary:
            payload = payload or b"{}"
            _json_of(payload)
        try:
            await self._routes.offer(target.name, "", payload, json.dumps(context or {"custom": {}}))
        except StreamFull as problem:
            raise Refused(429, str(problem)) from problem
        except StoreError as problem:
            raise Refused(503, str(problem)) from problem
        return Response(202)

    # ------------------------------------------------------------------------------------------------ services

    async def _publish(self, caller: LambdaComponent, context: Mapping[str, Any], payload: bytes) -> Response:
        custom = _custom(context)
        topic = str(custom.get("subject", ""))
        try:
            check_name(topic)
            await self._router.publish(
                caller, topic, payload, all_or_error=custom.get("queueFullPolicy") == "AllOrError"
            )
        except BadTopic as problem:
            raise Refused(400, str(problem)) from problem
        except Full as problem:
            raise Refused(429, str(problem)) from problem
        except StoreError as problem:
            raise Refused(503, str(problem)) from problem
        return Response(202)

    async def _shadow(self, caller: LambdaComponent, context: Mapping[str, Any], payload: bytes) -> Response:
        """An error is told in the answer, as a shadow tells it over MQTT."""
        parts = str(_custom(context).get("subject", "")).split("/")
        if len(parts) != 5 or parts[:2] != ["$aws", "things"] or parts[4] not in SHADOW_OPERATIONS:
            raise Refused(400, f"{'/'.join(parts)} is no request of a shadow")
        document = {"thingName": parts[2], "payload": base64.b64encode(payload).decode()}
        try:
            answer = await self._asked(caller, SHADOW_OPERATIONS[parts[4]], document)
        except Fault as fault:
            return _json({"code": CODES.get(fault.code, 400), "message": fault.document["message"]})
        return Response(200, body=base64.b64decode(answer["payload"]) or b"{}")  # the SDK of V1 wants JSON

    async def _secret(self, caller: LambdaComponent, payload: bytes) -> Response:
        asked = _object_of(payload)
        document = {"secretId": asked.get("SecretId"), "versionStage": asked.get("VersionStage")}
        try:
            answer = await self._asked(caller, "GetSecretValue", document)
        except Fault as fault:
            return _json({"Status": CODES.get(fault.code, 400), "Message": fault.document["message"]})
        name, created = self._secrets.about(answer["secretId"], answer["versionId"])
        return _json(
            {
                "ARN": answer["secretId"],
                "Name": name,
                "VersionId": answer["versionId"],
                "VersionStages": answer["versionStage"],
                "CreatedDate": int(created * 1000),
                **{SECRET_VALUES[kind]: each for kind, each in answer["secretValue"].items()},
            }
        )

    async def _asked(self, caller: LambdaComponent, operation: str, members: Document) -> Document:
        """What the IPC answers. Raises Fault."""
        call = Call(caller.name, operation, members, lambda _shape, _event: None)
        answered = self._operations[operation](call)
        document: Document = await answered if isinstance(answered, Awaitable) else answered
        return document


def _context(encoded: str) -> Mapping[str, Any]:
    """Raises Refused."""
    if not encoded:
        return {}
    try:
        return _object_of(base64.b64decode(encoded, validate=True))
    except binascii.Error as problem:
        raise Refused(400, f"the client context must be base64 of a JSON object: {problem}") from problem


def _custom(context: Mapping[str, Any]) -> Mapping[str, Any]:
    found = context.get("custom")
    return found if isinstance(found, dict) else {}


def _object_of(payload: bytes) -> Mapping[str, Any]:
    """Raises Refused."""
    found = _json_of(payload)
    if not isinstance(found, dict):
        raise Refused(400, "this is no JSON object")
    return found


def _json_of(payload: bytes) -> Any:
    """Raises Refused."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as problem:
        raise Refused(400, f"this is not JSON: {problem}") from problem


def _json(document: Mapping[str, Any]) -> Response:
    return Response(200, body=json.dumps(document).encode())
