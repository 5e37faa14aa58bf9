"""PutBucketNotificationConfiguration and GetBucketNotificationConfiguration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations
from littoral.objects.errors import error
from littoral.objects.events import Trigger, loaded, notifications_of

Permits = Callable[[str, str], Awaitable[bool]]
"""Whether S3 may call the function (first argument, an ARN) on behalf of the bucket (second, an ARN)."""


class NotificationOperations(Operations):
    permits: Permits | None = None  # handed in by the site; without it only the form of an ARN is checked

    @operation(notes="functions and EventBridge: topics and queues are refused")
    async def put_bucket_notification_configuration(
        self,
        call: Call,
        *,
        bucket: str,
        notification_configuration: dict[str, Any],
        skip_destination_validation: bool = False,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._index.bucket(bucket)
        self._check_owner(bucket, expected_bucket_owner)
        wanted = notifications_of(notification_configuration)
        if not skip_destination_validation:
            await self._validate(bucket, wanted.triggers)
        await self._index.set_bucket(bucket, "notification", wanted.dump())
        return {}

    async def _validate(self, bucket: str, triggers: tuple[Trigger, ...]) -> None:
        """Raises InvalidArgument where a function is missing or has not permitted S3 to call it."""
        for trigger in triggers:
            if self.permits is not None and not await self.permits(trigger.function, f"arn:aws:s3:::{bucket}"):
                message = "Unable to validate the following destination configurations"
                named = f"{trigger.function}, null"
                raise error(
                    "InvalidArgument", message, ArgumentName=named, ArgumentValue="Not authorized to invoke function"
                )

    @operation()
    async def get_bucket_notification_configuration(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        text = self._index.bucket(bucket).notification
        if text is None:
            return {}
        kept = loaded(text)
        functions = {"LambdaFunctionConfigurations": [each.shown() for each in kept.triggers]} if kept.triggers else {}
        return functions | ({"EventBridgeConfiguration": {}} if kept.bus else {})
