"""Topic rule destinations: the endpoints of the ``http`` action, confirmed by their owners."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.things.control import pages
from littoral.things.control.errors import exists, invalid
from littoral.things.rules.destinations import DISABLED, ENABLED, IN_PROGRESS, Destination, Destinations
from littoral.things.rules.endpoint import check_url


class TopicRuleDestinations:
    def __init__(self, destinations: Destinations) -> None:
        self.destinations = destinations

    def _destination(self, arn: str) -> Destination:
        """The model of these operations has no error for what is not there, as with rules."""
        found = self.destinations.get(arn)
        if found is None:
            raise ServiceError("UnauthorizedException", f"Access to destination '{arn}' was denied", status=401)
        return found

    @operation(notes="httpUrlConfiguration only")
    async def create_topic_rule_destination(self, call: Call, *, destination_configuration: dict[str, Any]) -> Output:
        """IN_PROGRESS; the confirmation message is on its way to the URL."""
        if set(destination_configuration) != {"httpUrlConfiguration"}:
            raise invalid("This place has destinations with httpUrlConfiguration only")
        url = destination_configuration["httpUrlConfiguration"]["confirmationUrl"]
        if (problem := check_url(url)) is not None:
            raise invalid(problem)
        if (found := self.destinations.of_url(url)) is not None:
            raise exists(f"A destination for {url} already exists", found.arn, found.arn.rpartition("/")[2])
        return {"topicRuleDestination": _shown(await self.destinations.create(url), "httpUrlProperties")}

    @operation()
    async def get_topic_rule_destination(self, call: Call, *, arn: str) -> Output:
        return {"topicRuleDestination": _shown(self._destination(arn), "httpUrlProperties")}

    @operation()
    async def list_topic_rule_destinations(
        self, call: Call, *, max_results: int | None = None, next_token: str | None = None
    ) -> Output:
        rows = self.destinations.all(pages.after(next_token))
        found, token = pages.page(rows, pages.size(max_results, default=100, most=1000))
        summaries = [_shown(each, "httpUrlSummary") for each in found]
        return pages.with_token({"destinationSummaries": summaries}, "nextToken", token)

    @operation()
    async def confirm_topic_rule_destination(self, call: Call, *, confirmation_token: str) -> Output:
        """The destination is then DISABLED; opening the message's ``enableUrl`` enables it at once."""
        if not await self.destinations.confirm(confirmation_token, enable=False):
            raise invalid("The confirmation token is not valid")
        return {}

    @operation()
    async def update_topic_rule_destination(self, call: Call, *, arn: str, status: str) -> Output:
        found = self._destination(arn)
        if status not in (ENABLED, DISABLED, IN_PROGRESS):
            raise invalid(f"A destination cannot be made {status}")
        if not await self.destinations.update(found, status):
            raise invalid(f"A destination that is {found.status} cannot be made {status}")
        return {}

    @operation()
    async def delete_topic_rule_destination(self, call: Call, *, arn: str) -> Output:
        self._destination(arn)
        await self.destinations.delete(arn)
        return {}


def _shown(found: Destination, properties: str) -> Output:
    shown: Output = {
        "arn": found.arn,
        "status": found.status,
        "createdAt": found.created,
        "lastUpdatedAt": found.updated,
        properties: {"confirmationUrl": found.url},
    }
    return {**shown, "statusReason": found.reason} if found.reason else shown
