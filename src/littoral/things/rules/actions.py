"""What a rule can do with a message: invoke a function, write an object, publish again.

Owns: each action's parameters and templates, and telling a failure that may pass from one that will not. The
destinations are handed in. An action not here is refused when the rule is made, by its name.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from littoral.aws.invoke import Invocation, Invoker
from littoral.aws.service import ServiceError
from littoral.protocols.iotsql import Context, Selected, SqlError, Template, compile_template
from littoral.things.message import Publication, PublishProperties


class ObjectSink(Protocol):
    """Where the s3 action writes. Durable on return. Raises ServiceError (NoSuchBucket, …)."""

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> None: ...


Permits = Callable[[str, str], bool]
"""Whether a function's resource policy lets the rule of that name invoke it. Raises ResourceNotFoundException."""


@dataclass(frozen=True, slots=True)
class Sinks:
    """``publish`` returns when the message is durable where that matters; it raises ValueError for a bad topic."""

    invoker: Invoker | None
    objects: ObjectSink | None
    publish: Callable[[Publication], Awaitable[None]]
    permits: Permits | None = None  # without it, every rule may invoke every function


class ActionFailed(Exception):
    """``passing``: trying again may help."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class BadAction(ValueError):
    """The definition of an action is not valid, or asks for what would not be honoured."""


class Action(Protocol):
    @property
    def kind(self) -> str:
        """As errorAction's payload names it: "S3Action"."""

    def resource(self, context: Context) -> str:
        """What it acts on, for error reports."""

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        """``rule``: the name of the rule on whose behalf. Raises ActionFailed."""


_PASSING_CODES: Final = {"TooManyRequestsException", "ThrottlingException", "SlowDown", "Throttling", "RequestTimeout"}


def failed(error: Exception) -> ActionFailed:
    """AWS tries again what is the service's fault or a throttle, and gives up on what the rule got wrong."""
    if isinstance(error, ActionFailed):
        return error
    if isinstance(error, ServiceError):
        theirs = error.status is not None and error.status >= 500
        return ActionFailed(str(error), passing=theirs or error.code in _PASSING_CODES)
    return ActionFailed(f"{type(error).__name__}: {error}", passing=not isinstance(error, ValueError))


# ---------------------------------------------------------------------------------------------------- lambda


@dataclass(frozen=True, slots=True)
class LambdaAction:
    function: Template
    kind: str = "LambdaAction"

    def resource(self, context: Context) -> str:
        return self.function.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        if sinks.invoker is None:
            raise ActionFailed("This place runs no functions", passing=False)
        if not selected.is_json:
            raise ActionFailed("A function takes JSON; encode a binary payload in the SELECT", passing=False)
        function = self.resource(context)
        try:
            if sinks.permits is not None and not sinks.permits(function, rule):
                words = (
                    f"The resource policy of {function} does not let iot.amazonaws.com invoke it for the rule {rule}"
                )
                raise ServiceError("AccessDeniedException", words, status=403)
            await sinks.invoker.invoke_async(Invocation(function, selected.payload))
        except Exception as error:
            raise failed(error) from error


# -------------------------------------------------------------------------------------------------------- s3


@dataclass(frozen=True, slots=True)
class S3Action:
    bucket: Template
    key: Template
    kind: str = "S3Action"

    def resource(self, context: Context) -> str:
        return self.bucket.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        if sinks.objects is None:
            raise ActionFailed("This place keeps no objects", passing=False)
        key = self.key.evaluate(context)
        if not key:
            raise ActionFailed("The object key is empty", passing=False)
        content_type = "application/json" if selected.is_json else "application/octet-stream"
        try:
            await sinks.objects.put(self.resource(context), key, selected.payload, content_type)
        except Exception as error:
            raise failed(error) from error


# ------------------------------------------------------------------------------------------------- republish


@dataclass(frozen=True, slots=True)
class RepublishAction:
    topic: Template
    qos: int
    headers: Mapping[str, Template]  # by the names of the model
    user_properties: tuple[tuple[Template, Template], ...]
    kind: str = "RepublishAction"

    def resource(self, context: Context) -> str:
        """A reserved topic is written ``$$aws/…``, so that ``$`` is not taken for a template."""
        topic = self.topic.evaluate(context)
        return topic[1:] if topic.startswith("$$") else topic

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        try:
            await sinks.publish(self._message(selected, context))
        except Exception as error:
            raise failed(error) from error

    def _message(self, selected: Selected, context: Context) -> Publication:
        return Publication(self.resource(context), selected.payload, self.qos, properties=self._properties(context))

    def _properties(self, context: Context) -> PublishProperties | None:
        if not self.headers and not self.user_properties:
            return None
        header = {name: template.evaluate(context) for name, template in self.headers.items()}
        return PublishProperties(
            payload_format=1 if header.get("payloadFormatIndicator") == "UTF8_DATA" else None,
            message_expiry=_expiry(header.get("messageExpiry")),
            content_type=header.get("contentType"),
            response_topic=header.get("responseTopic"),
            correlation_data=_base64(header.get("correlationData")),
            user_properties=[(k.evaluate(context), v.evaluate(context)) for k, v in self.user_properties],
        )


def _base64(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ActionFailed("headers.correlationData is not base64", passing=False) from None


def _expiry(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or int(text) > 0xFFFFFFFF:
        raise ActionFailed(f"headers.messageExpiry {text!r} is not a number of seconds", passing=False)
    return int(text)


# --------------------------------------------------------------------------------------------------- parsing


def parse_action(definition: Mapping[str, Any]) -> Action:
    """Raises BadAction. ``roleArn`` must be there, as in AWS, and is not assumed: there are no roles here yet."""
    if len(definition) != 1:
        raise BadAction("An action names exactly one destination")
    ((kind, parameters),) = definition.items()
    parse = _PARSERS.get(kind)
    if parse is None:
        raise BadAction(f"Action {kind!r} is not available here; there are: {', '.join(sorted(_PARSERS))}")
    try:
        return parse(parameters)
    except SqlError as error:
        raise BadAction(f"A substitution template of action {kind!r} is not valid: {error}") from None


def _take(kind: str, parameters: Mapping[str, Any], known: set[str], required: set[str]) -> None:
    unknown, missing = sorted(set(parameters) - known), sorted(required - set(parameters))
    if unknown:
        raise BadAction(f"{kind}.{unknown[0]} is not honoured here")
    if missing:
        raise BadAction(f"{kind}.{missing[0]} is missing")


def _lambda(parameters: Mapping[str, Any]) -> Action:
    _take("lambda", parameters, {"functionArn"}, {"functionArn"})
    return LambdaAction(compile_template(parameters["functionArn"]))


def _s3(parameters: Mapping[str, Any]) -> Action:
    _take("s3", parameters, {"roleArn", "bucketName", "key", "cannedAcl"}, {"roleArn", "bucketName", "key"})
    if parameters.get("cannedAcl", "private") != "private":
        raise BadAction("s3.cannedAcl other than 'private' is not honoured here")
    return S3Action(compile_template(parameters["bucketName"]), compile_template(parameters["key"]))


_HEADERS: Final = {"payloadFormatIndicator", "contentType", "responseTopic", "correlationData", "messageExpiry"}


def _republish(parameters: Mapping[str, Any]) -> Action:
    _take("republish", parameters, {"roleArn", "topic", "qos", "headers"}, {"roleArn", "topic"})
    qos = parameters.get("qos", 0)
    if qos not in (0, 1):
        raise BadAction("republish.qos must be 0 or 1")
    headers = parameters.get("headers") or {}
    _take("republish.headers", headers, _HEADERS | {"userProperties"}, set())
    properties = [(entry["key"], entry["value"]) for entry in headers.get("userProperties", ())]
    return RepublishAction(
        _reserved(parameters["topic"]),
        qos,
        {name: compile_template(headers[name]) for name in _HEADERS & set(headers)},
        tuple((compile_template(key), compile_template(value)) for key, value in properties),
    )


def _reserved(topic: str) -> Template:
    if topic.startswith("$") and not topic.startswith(("$$", "${")):
        raise BadAction("republish.topic: write a reserved topic with '$$' in place of '$'")
    return compile_template(topic)


_PARSERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Action]]] = {
    "lambda": _lambda,
    "s3": _s3,
    "republish": _republish,
}
