"""The ``republish`` action, with MQTT 5 headers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from littoral.protocols.iotsql import Context, Selected, Template
from littoral.things.message import Publication, PublishProperties
from littoral.things.rules.actions.base import Action, ActionFailed, BadAction, Parameters, Sinks, failed

_HEADERS: Final = {"payloadFormatIndicator", "contentType", "responseTopic", "correlationData", "messageExpiry"}


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


def read(parameters: Parameters) -> Action:
    parameters.check({"roleArn", "topic"}, {"qos", "headers"})
    qos = parameters.given.get("qos", 0)
    if qos not in (0, 1):
        raise BadAction("republish.qos must be 0 or 1")
    topic = parameters.given["topic"]
    if topic.startswith("$") and not topic.startswith(("$$", "${")):
        raise BadAction("republish.topic: write a reserved topic with '$$' in place of '$'")
    headers = parameters.within("headers")
    headers.check(set(), _HEADERS | {"userProperties"})
    properties = [(entry["key"], entry["value"]) for entry in headers.given.get("userProperties", ())]
    return RepublishAction(
        parameters.template("topic"),
        qos,
        {name: headers.template(name) for name in _HEADERS & set(headers.given)},
        tuple((headers.compiled(key), headers.compiled(value)) for key, value in properties),
    )
