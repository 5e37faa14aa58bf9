"""PutBucketNotificationConfiguration and GetBucketNotificationConfiguration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations
from littoral.objects.errors import error
from littoral.objects.events import FUNCTION, Trigger, check_event, loaded, notifications_of, shown
from littoral.objects.outbox import Posts

Permits = Callable[[str, str], Awaitable[bool]]
"""Whether S3 may call the function (first argument, an ARN) on behalf of the bucket (second, an ARN)."""


class NotificationOperations(Operations):
    permits: Permits | None = None  # handed in by the site; without it only the form of an ARN is checked
    posts: Posts | None = None  # likewise, for queues and topics

    @operation(notes="queues are data streams, topics MQTT's; of SQS and SNS the data stream of the same name")
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
            await self._validate(call, bucket, wanted.triggers)
        await self._index.set_bucket(bucket, "notification", wanted.dump())
        return {}

    async def _validate(self, call: Call, bucket: str, triggers: tuple[Trigger, ...]) -> None:
        """Queues and topics are sent a test event. Raises InvalidArgument where a target is missing, or a function has
        not permitted S3 to call it."""
        for trigger in triggers:
            refused = None
            if trigger.kind != FUNCTION:
                refused = await self._try(trigger.target, bucket, call)
            elif self.permits is not None and not await self.permits(trigger.target, f"arn:aws:s3:::{bucket}"):
                refused = "Not authorized to invoke function"
            if refused is not None:
                message = "Unable to validate the following destination configurations"
                raise error("InvalidArgument", message, ArgumentName=f"{trigger.target}, null", ArgumentValue=refused)

    async def _try(self, arn: str, bucket: str, call: Call) -> str | None:
        """Why a queue or topic does not take events, if it does not."""
        if self.posts is None:
            return None
        refused = self.posts.refuses(arn)
        if refused is None:
            await self.posts.deliver(arn, check_event(bucket, call.request_id, call.now), bucket)
        return refused

    @operation()
    async def get_bucket_notification_configuration(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        text = self._index.bucket(bucket).notification
        return {} if text is None else shown(loaded(text))
