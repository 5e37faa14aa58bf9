"""Actions that end in a data stream of the place: ``kinesis``, and ``firehose``, ``sqs`` and ``sns``.

This place has no queues, topics or delivery streams of those services: what they would get is a record of the data
stream of the same name, from which functions read it by an event source mapping, and programs by Kinesis' API. Who
needs the services' own meaning (visibility, fan-out, delivery to a bucket) does not get it here, and docs say so.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from littoral.protocols.iotsql import Context, Selected, Template
from littoral.things.rules.actions.base import Action, ActionFailed, BadAction, Parameters, Sinks, failed

SEPARATORS: Final = ("\n", "\t", "\r\n", ",")
MAX_BATCH: Final = 500  # records of PutRecordBatch
_QUEUE: Final = re.compile(r"https?://[^/]+/\d{12}/([A-Za-z0-9_-]{1,80})")
_TOPIC: Final = re.compile(r"arn:aws:sns:[a-z0-9-]+:\d{12}:([A-Za-z0-9_-]{1,256})")


async def _put(sinks: Sinks, stream: str, records: list[bytes], key: str) -> None:
    """In their order; those before a failure are there, and come again when it passes."""
    if sinks.streams is None:
        raise ActionFailed("This place keeps no data streams", passing=False)
    try:
        for record in records:
            await sinks.streams.put(stream, record, key)
    except Exception as error:
        raise failed(error) from error


@dataclass(frozen=True, slots=True)
class KinesisAction:
    stream: Template
    key: Template | None
    kind: str = "KinesisAction"

    def resource(self, context: Context) -> str:
        return self.stream.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        key = context.new_uuid() if self.key is None else self.key.evaluate(context)
        if not 0 < len(key) <= 256:
            raise ActionFailed("The partition key has 1 to 256 characters", passing=False)
        await _put(sinks, self.resource(context), [selected.payload], key)


def read_kinesis(parameters: Parameters) -> Action:
    parameters.check({"roleArn", "streamName"}, {"partitionKey"})
    return KinesisAction(parameters.template("streamName"), parameters.maybe("partitionKey"))


@dataclass(frozen=True, slots=True)
class FirehoseAction:
    stream: Template
    separator: bytes
    batch: bool
    kind: str = "FirehoseAction"

    def resource(self, context: Context) -> str:
        return self.stream.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        records = [record + self.separator for record in self._records(selected)]
        await _put(sinks, self.resource(context), records, context.new_uuid())

    def _records(self, selected: Selected) -> list[bytes]:
        """ "When batchMode is true and the statement evaluates to an Array, each element forms one record"."""
        found = json.loads(selected.payload) if self.batch and selected.is_json else None
        if not isinstance(found, list):
            return [selected.payload]
        if len(found) > MAX_BATCH:
            raise ActionFailed(f"A batch has at most {MAX_BATCH} records, not {len(found)}", passing=False)
        return [json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() for record in found]


def read_firehose(parameters: Parameters) -> Action:
    parameters.check({"roleArn", "deliveryStreamName"}, {"separator", "batchMode"})
    separator = parameters.given.get("separator", "")
    if separator and separator not in SEPARATORS:
        raise BadAction("firehose.separator is a comma, a tab or a new line")
    return FirehoseAction(
        parameters.template("deliveryStreamName"), separator.encode(), bool(parameters.given.get("batchMode"))
    )


@dataclass(frozen=True, slots=True)
class SqsAction:
    queue: Template
    base64: bool
    kind: str = "SqsAction"

    def resource(self, context: Context) -> str:
        return self.queue.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        body = base64.b64encode(selected.payload) if self.base64 else selected.payload
        await _put(sinks, _named(_QUEUE, self.resource(context)), [body], context.new_uuid())


def read_sqs(parameters: Parameters) -> Action:
    parameters.check({"roleArn", "queueUrl"}, {"useBase64"})
    queue = parameters.template("queueUrl")
    _check_constant("sqs.queueUrl", queue, _QUEUE)
    return SqsAction(queue, bool(parameters.given.get("useBase64")))


@dataclass(frozen=True, slots=True)
class SnsAction:
    topic: Template
    json: bool
    kind: str = "SnsAction"

    def resource(self, context: Context) -> str:
        return self.topic.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        message = _default(selected) if self.json else selected.payload
        await _put(sinks, _named(_TOPIC, self.resource(context)), [message], context.new_uuid())


def _default(selected: Selected) -> bytes:
    """Of ``MessageStructure=json``: the text for protocols that the message does not name."""
    found: Any = json.loads(selected.payload) if selected.is_json else None
    default = found.get("default") if isinstance(found, dict) else None
    if not isinstance(default, str):
        raise ActionFailed("With messageFormat JSON the message is an object with a text 'default'", passing=False)
    return default.encode("utf-8", "surrogatepass")


def read_sns(parameters: Parameters) -> Action:
    parameters.check({"roleArn", "targetArn"}, {"messageFormat"})
    topic = parameters.template("targetArn")
    _check_constant("sns.targetArn", topic, _TOPIC)
    return SnsAction(topic, parameters.given.get("messageFormat", "RAW") == "JSON")


def _named(form: re.Pattern[str], text: str) -> str:
    match = form.fullmatch(text)
    if match is None:
        raise ActionFailed(f"{text[:300]!r} names nothing that has a data stream here", passing=False)
    return match[1]


def _check_constant(parameter: str, template: Template, form: re.Pattern[str]) -> None:
    if template.constant and form.fullmatch(template.text) is None:
        raise BadAction(f"{parameter} {template.text[:300]!r} is none, or one in order (FIFO), which AWS refuses too")
