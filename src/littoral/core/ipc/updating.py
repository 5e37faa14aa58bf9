"""Components have a say in deployments: updates deferred, configurations judged. Each speaks for itself only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from littoral.core.ipc.calls import Call, Document, Handler, invalid, not_found


class Consulted(Protocol):
    def on_update(self, component: str, ask: Callable[[Document], None]) -> Callable[[], None]: ...

    def on_validation(self, component: str, ask: Callable[[Document], None]) -> Callable[[], None]: ...

    def defer(self, component: str, deployment: str, seconds: float) -> bool: ...

    def judged(self, component: str, deployment: str, problem: str | None) -> bool: ...


class Updating:
    def __init__(self, consulted: Consulted) -> None:
        self._consulted = consulted

    def operations(self) -> Mapping[str, Handler]:
        return {
            "SubscribeToComponentUpdates": self.subscribe_to_component_updates,
            "DeferComponentUpdate": self.defer_component_update,
            "SubscribeToValidateConfigurationUpdates": self.subscribe_to_validate_configuration_updates,
            "SendConfigurationValidityReport": self.send_configuration_validity_report,
        }

    def subscribe_to_component_updates(self, call: Call) -> Document:
        def ask(event: Document) -> None:
            call.send("ComponentUpdatePolicyEvents", event)

        call.ended.append(self._consulted.on_update(call.component, ask))
        return {}

    def defer_component_update(self, call: Call) -> Document:
        milliseconds = call.document.get("recheckAfterMs", 0)
        if isinstance(milliseconds, bool) or not isinstance(milliseconds, (int, float)) or milliseconds < 0:
            raise invalid("recheckAfterMs must be a number of milliseconds")
        deployment = call.text("deploymentId")
        if not self._consulted.defer(call.component, deployment, milliseconds / 1000):
            raise not_found("update to be deferred for deployment", deployment)
        return {}

    def subscribe_to_validate_configuration_updates(self, call: Call) -> Document:
        def ask(event: Document) -> None:
            call.send("ValidateConfigurationUpdateEvents", event)

        call.ended.append(self._consulted.on_validation(call.component, ask))
        return {}

    def send_configuration_validity_report(self, call: Call) -> Document:
        report = call.document.get("configurationValidityReport")
        if not isinstance(report, dict) or report.get("status") not in ("ACCEPTED", "REJECTED"):
            raise invalid("configurationValidityReport must have the status ACCEPTED or REJECTED")
        deployment = str(report.get("deploymentId"))
        problem = None if report["status"] == "ACCEPTED" else str(report.get("message") or "no reason given")
        if not self._consulted.judged(call.component, deployment, problem):
            raise not_found("configuration to be judged for deployment", deployment)
        return {}
