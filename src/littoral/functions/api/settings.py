"""The settings that CreateFunction and UpdateFunctionConfiguration share, from the request to a FunctionVersion.

``Given`` is what a request brings; ``changes`` checks it and gives the members of ``FunctionVersion`` that follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from littoral.functions import validation
from littoral.functions.api.parts import Operations
from littoral.functions.code import MAX_UNPACKED
from littoral.functions.names import invalid
from littoral.functions.version import FunctionVersion, LayerUse, LogStyle


@dataclass(frozen=True, slots=True)
class Given:
    """None for what was not sent."""

    layers: list[str] | None
    dead_letter_config: Mapping[str, Any] | None
    tracing_config: Mapping[str, Any] | None
    snap_start: Mapping[str, Any] | None
    logging_config: Mapping[str, Any] | None


class SettingsOperations(Operations):
    def _settings(self, name: str, runtime: str, given: Given, before: FunctionVersion | None = None) -> dict[str, Any]:
        """Members of FunctionVersion. Raises InvalidParameterValueException and what layers raise."""
        changes: dict[str, Any] = {}
        if given.layers is not None:
            changes["layers"] = self._parts.layers.uses(given.layers, before.layers if before else ())
        if given.dead_letter_config is not None:
            changes["dead_letter"] = self._dead_letter(given.dead_letter_config)
        if given.tracing_config is not None:
            changes["tracing"] = given.tracing_config.get("Mode", "PassThrough")
        if given.snap_start is not None:
            changes["snap_start"] = given.snap_start.get("ApplyOn", "None")
        snap = changes.get("snap_start", before.snap_start if before else "None")
        if snap != "None":
            check_snap_start(runtime)
        if given.logging_config is not None:
            changes["log_style"] = log_style(given.logging_config)
            changes["log_group"] = validation.log_group_of(name, given.logging_config)
        return changes

    async def _check_sizes(self, code_key: str, layers: tuple[LayerUse, ...]) -> None:
        """A function and its layers have 250 MB together, unzipped; and the layers must go together."""
        if not layers:
            return
        code = self._parts.code
        total = (await code.unpacked(code_key)).size
        for use in layers:
            total += (await code.unpacked(use.code_key)).size
        if total > MAX_UNPACKED:
            raise invalid(
                f"Function code combined with layers exceeds the maximum allowed size of {MAX_UNPACKED} bytes. "
                f"The actual size is {total} bytes."
            )
        await code.opt([use.code_key for use in layers])

    def _dead_letter(self, config: Mapping[str, Any]) -> str:
        arn = str(config.get("TargetArn") or "")
        if arn and not self._parts.deliveries.sink.accepts(arn):
            raise invalid(
                f"The provided target {arn[:200]} of the dead-letter queue is not served by this place: "
                "it takes the ARN of a stream or of an IoT topic"
            )
        return arn


def check_snap_start(runtime: str) -> None:
    """Where AWS has SnapStart. Here it changes nothing: what it saves, a place does not spend."""
    kind, _, number = runtime.partition("3.") if runtime.startswith("python3.") else (runtime, "", "")
    if kind == "python" and number.isdigit() and int(number) >= 12:
        return
    if runtime.startswith("java") and runtime.removeprefix("java")[:1].isdigit() and not runtime.startswith("java8"):
        return
    if runtime in ("dotnet8", "dotnet10"):
        return
    raise invalid(f"{runtime} is not supported for SnapStart enabled functions.")


def log_style(config: Mapping[str, Any]) -> LogStyle:
    form = config.get("LogFormat", "Text")
    application, system = config.get("ApplicationLogLevel"), config.get("SystemLogLevel")
    if form != "JSON" and (application or system):
        raise invalid("ApplicationLogLevel and SystemLogLevel can only be set when LogFormat is JSON.")
    return LogStyle(form, application or "", system or "")
