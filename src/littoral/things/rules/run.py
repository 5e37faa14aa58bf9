"""Running one rule for one message: which actions are still to do, what failed, and the error action's report."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import dataclass, field

from littoral.protocols.iotsql import Context, Selected
from littoral.protocols.iotsql.rule import EvaluationError
from littoral.things.rules.actions import Action, ActionFailed, Sinks, failed
from littoral.things.rules.definition import CompiledRule
from littoral.things.rules.entries import uuids

log = logging.getLogger(__name__)

Failure = dict[str, str]


@dataclass(slots=True)
class Run:
    """Lives from the first try to the last. ``step`` may be called again until it says there is nothing more to do."""

    rule: CompiledRule
    context: Context
    done: set[int] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)

    async def step(self, sinks: Sinks, *, last: bool) -> bool:
        """Try what is not done; True when all is done or given up. ``last``: give up what fails now."""
        selected = self._evaluate()
        if selected is not None:
            waiting = [index for index in range(len(self.rule.actions)) if index not in self.done]
            for index in waiting:
                await self._try(index, selected, sinks, last)
            if len(self.done) < len(self.rule.actions):
                self.rule.metrics.retries += 1
                return False
        if self.failures and self.rule.error_action is not None:
            return await self._report(self.rule.error_action, sinks, last)
        return True

    def _evaluate(self) -> Selected | None:
        self.context.new_uuid = uuids(self.context.trace_id, "select")
        try:
            return self.rule.rule.evaluate(self.context)
        except EvaluationError as error:
            if not self.failures:
                self.rule.metrics.parse_errors += 1
                self._failed("Select", self.rule.rule.topic_filter or "", str(error))
            return None

    async def _try(self, index: int, selected: Selected, sinks: Sinks, last: bool) -> None:
        action = self.rule.actions[index]
        self.context.new_uuid = uuids(self.context.trace_id, str(index))
        try:
            await action.run(selected, self.context, sinks, self.rule.name)
        except Exception as error:  # noqa: BLE001 - sorted below; nothing may stop the other actions
            failure = failed(error)
            if failure.passing and not last:
                return
            self.rule.metrics.failure += 1
            self._failed(action.kind, self._resource(action), str(failure))
        else:
            self.rule.metrics.success += 1
        self.done.add(index)

    def _resource(self, action: Action) -> str:
        self.context.new_uuid = uuids(self.context.trace_id, "resource")
        return action.resource(self.context)

    def _failed(self, kind: str, resource: str, message: str) -> None:
        log.warning("rule %s: %s on %s failed: %s", self.rule.name, kind, resource, message)
        self.failures.append({"failedAction": kind, "failedResource": resource, "errorMessage": message})

    async def _report(self, action: Action, sinks: Sinks, last: bool) -> bool:
        """One report per rule and message, with every failure in it."""
        report = {
            "ruleName": self.rule.name,
            "topic": self.context.topic,
            "cloudwatchTraceId": self.context.trace_id,
            "clientId": self.context.client_id if self.context.client_id is not None else "N/A",
            "base64OriginalPayload": base64.b64encode(self.context.payload).decode(),
            "failures": self.failures,
        }
        self.context.new_uuid = uuids(self.context.trace_id, "error")
        try:
            await action.run(Selected(json.dumps(report).encode(), True), self.context, sinks, self.rule.name)
        except Exception as error:  # noqa: BLE001 - the last resort has failed; it is logged, and retried if that may help
            failure: ActionFailed = failed(error)
            log.warning("rule %s: error action %s failed: %s", self.rule.name, action.kind, failure)
            return last or not failure.passing
        return True
