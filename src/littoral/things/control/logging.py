"""AWS IoT's own log: what of it is wanted, by default and of whom. ``things/iotlogs`` writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import invalid
from littoral.things.iotlogs import Levels, Options

_NOTES = "entries of the broker (not Publish-Out), of shadows over MQTT, of rules; the role is not assumed"


class LoggingOptions(Noun):
    """``levels`` is set when the API is composed."""

    levels: Levels

    def _logging(self) -> Options:
        found = self.levels.options
        if found is None:
            raise ServiceError("NotConfiguredException", "Logging options are not set", status=404)
        return found

    @operation(notes=_NOTES)
    async def set_v2_logging_options(
        self,
        call: Call,
        *,
        role_arn: str | None = None,
        default_log_level: str | None = None,
        disable_all_logs: bool = False,
    ) -> Output:
        async with self.registry.changing:
            kept = self.levels.options or Options(level="ERROR")
            level, role = default_log_level or kept.level, role_arn or kept.role
            if not role:
                raise invalid("roleArn is needed when logging is set for the first time")
            await self.levels.put(replace(kept, role=role, level=level, disabled=disable_all_logs))
        return {}

    @operation(harmless={"verbose"})
    async def get_v2_logging_options(self, call: Call) -> Output:
        found = self._logging()
        return {"roleArn": found.role, "defaultLogLevel": found.level, "disableAllLogs": found.disabled}

    @operation()
    async def set_v2_logging_level(self, call: Call, *, log_target: dict[str, Any], log_level: str) -> Output:
        """The target DEFAULT has no name: it is the default level."""
        kind, name = log_target["targetType"], log_target.get("targetName", "")
        async with self.registry.changing:
            options = self._logging()
            if kind == "DEFAULT":
                await self.levels.put(replace(options, level=log_level))
                return {}
            if not name:
                raise invalid(f"The log target {kind} needs a targetName")
            if kind == "THING_GROUP" and name not in self.registry.groups:
                raise invalid(f"Thing group {name} cannot be found.")
            await self.levels.put(replace(options, targets={**options.targets, (kind, name): log_level}))
        return {}

    @operation()
    async def delete_v2_logging_level(self, call: Call, *, target_type: str, target_name: str) -> Output:
        async with self.registry.changing:
            options = self.levels.options
            if options is not None:
                kept = {each: on for each, on in options.targets.items() if each != (target_type, target_name)}
                await self.levels.put(replace(options, targets=kept))
        return {}

    @operation()
    async def list_v2_logging_levels(
        self,
        call: Call,
        *,
        target_type: str | None = None,
        next_token: str | None = None,
        max_results: int | None = None,
    ) -> Output:
        options = self._logging()
        default = {"logTarget": {"targetType": "DEFAULT"}, "logLevel": options.level}
        rows: list[tuple[str, Output]] = [("", default)] if target_type in (None, "DEFAULT") else []
        for kind, name in sorted(options.targets):
            if target_type in (None, kind):
                shown = {"targetType": kind, "targetName": name}
                rows.append((f"{kind}/{name}", {"logTarget": shown, "logLevel": options.targets[kind, name]}))
        start = pages.after(next_token)
        found, token = pages.page((row for row in rows if not next_token or row[0] > start), pages.size(max_results))
        return pages.with_token({"logTargetConfigurations": found}, "nextToken", token)
