"""Event invoke configurations: how asynchronous events of a function are retried and where they end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.functions.api.parts import PAGE, Operations, page, with_marker
from littoral.functions.names import LATEST, Reference, invalid, not_found
from littoral.functions.validation import validation_error


class EventInvokeOperations(Operations):
    @operation(notes="destinations: functions, and what the place hands in; others are refused")
    async def put_function_event_invoke_config(
        self,
        call: Call,
        *,
        function_name: str,
        qualifier: str | None = None,
        maximum_retry_attempts: int | None = None,
        maximum_event_age_in_seconds: int | None = None,
        destination_config: dict[str, Any] | None = None,
    ) -> Output:
        reference = self._home.parse(function_name, qualifier)
        given = self._given(reference, maximum_retry_attempts, maximum_event_age_in_seconds, destination_config)
        return await self._store(reference, given, call.now, keep=False)

    @operation(notes="destinations: functions, and what the place hands in; others are refused")
    async def update_function_event_invoke_config(
        self,
        call: Call,
        *,
        function_name: str,
        qualifier: str | None = None,
        maximum_retry_attempts: int | None = None,
        maximum_event_age_in_seconds: int | None = None,
        destination_config: dict[str, Any] | None = None,
    ) -> Output:
        reference = self._home.parse(function_name, qualifier)
        given = self._given(reference, maximum_retry_attempts, maximum_event_age_in_seconds, destination_config)
        return await self._store(reference, given, call.now, keep=True)

    @operation()
    async def get_function_event_invoke_config(
        self, call: Call, *, function_name: str, qualifier: str | None = None
    ) -> Output:
        reference = self._home.parse(function_name, qualifier)
        return self._shown_config(reference, self._existing(reference))

    @operation()
    async def delete_function_event_invoke_config(
        self, call: Call, *, function_name: str, qualifier: str | None = None
    ) -> Output:
        reference = self._home.parse(function_name, qualifier)
        async with self._catalog.lock(reference.name):
            self._existing(reference)
            function = self._catalog.get(reference.name)
            configs = {key: value for key, value in function.event_configs.items() if key != _key(reference)}
            await self._catalog.save(replace(function, event_configs=configs))
        return {}

    @operation()
    async def list_function_event_invoke_configs(
        self, call: Call, *, function_name: str, marker: str | None = None, max_items: int = PAGE
    ) -> Output:
        reference = self._unqualified(function_name)
        self._check_invoked(reference)
        function = self._catalog.get(reference.name)
        shown, following = page(sorted(function.event_configs), str, marker, min(max_items, PAGE))
        listed = [self._shown_config(Reference(function.name, key), function.event_configs[key]) for key in shown]
        return with_marker({"FunctionEventInvokeConfigs": listed}, following)

    def _given(
        self, reference: Reference, retries: int | None, age: int | None, destinations: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The members that were sent, checked."""
        self._check_invoked(reference)
        if retries is None and age is None and destinations is None:
            raise invalid("You must specify at least one of error handling or destination setting.")
        if retries is not None and not 0 <= retries <= 2:
            raise validation_error(retries, "maximumRetryAttempts", "Member must have value between 0 and 2")
        if age is not None and not 60 <= age <= 21_600:
            raise validation_error(age, "maximumEventAgeInSeconds", "Member must have value between 60 and 21600")
        self._check_destinations(reference, destinations or {})
        given = {
            "MaximumRetryAttempts": retries,
            "MaximumEventAgeInSeconds": age,
            "DestinationConfig": destinations,
        }
        return {key: value for key, value in given.items() if value is not None}

    def _check_invoked(self, reference: Reference) -> None:
        try:
            self._catalog.version(reference)
        except ServiceError:
            raise not_found("The function doesn't exist.") from None

    def _check_destinations(self, reference: Reference, destinations: dict[str, Any]) -> None:
        arns = {end: (destinations.get(end) or {}).get("Destination") for end in ("OnSuccess", "OnFailure")}
        for arn in filter(None, arns.values()):
            if ":lambda:" in arn:
                self._check_function(reference, arn)
            elif not self._parts.deliveries.sink.accepts(arn):
                success, failure = (f"{end}(destination={arns[end]})" if arns[end] else "null" for end in arns)
                raise invalid(
                    f"The provided destination config DestinationConfig(onSuccess={success}, onFailure={failure}) is "
                    "invalid. This place serves the ARNs of functions, streams and IoT topics."
                )

    def _check_function(self, reference: Reference, arn: str) -> None:
        try:
            destination = self._home.parse(arn)
            self._catalog.version(destination)
        except ServiceError:
            raise invalid(f"The destination ARN {arn[:200]} is invalid.") from None
        if destination.name == reference.name:
            raise invalid("You can't specify the function as a destination for itself.")

    async def _store(self, reference: Reference, given: dict[str, Any], now: float, *, keep: bool) -> Output:
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            before = self._existing(reference) if keep else {}
            config = {**before, **given, "LastModified": now}
            configs = {**function.event_configs, _key(reference): config}
            await self._catalog.save(replace(function, event_configs=configs))
            return self._shown_config(reference, config)

    def _existing(self, reference: Reference) -> dict[str, Any]:
        function = self._catalog.find(reference.name)
        config = function.event_configs.get(_key(reference)) if function is not None else None
        if config is None:
            arn = self._home.arn(reference.name, _key(reference))
            raise not_found(f"The function {arn} doesn't have an EventInvokeConfig")
        return config

    def _shown_config(self, reference: Reference, config: dict[str, Any]) -> Output:
        shown: Output = {
            "LastModified": config["LastModified"],
            "FunctionArn": self._home.arn(reference.name, _key(reference)),
            "DestinationConfig": config.get("DestinationConfig") or {"OnSuccess": {}, "OnFailure": {}},
        }
        for member in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds"):
            if member in config:
                shown[member] = config[member]
        return shown


def _key(reference: Reference) -> str:
    return reference.qualifier or LATEST
