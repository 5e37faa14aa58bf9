"""The ``s3`` action."""

from __future__ import annotations

from dataclasses import dataclass

from littoral.protocols.iotsql import Context, Selected, Template
from littoral.things.rules.actions.base import Action, ActionFailed, BadAction, Parameters, Sinks, failed


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


def read(parameters: Parameters) -> Action:
    parameters.check({"roleArn", "bucketName", "key"}, {"cannedAcl"})
    if parameters.given.get("cannedAcl", "private") != "private":
        raise BadAction("s3.cannedAcl other than 'private' is not honoured here")
    return S3Action(parameters.template("bucketName"), parameters.template("key"))
