"""Running one rule for one message: which actions are still to do, what failed, and the error action's report."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final

from littoral.protocols.iotsql import Asked, Context, EvaluationError, NoAnswer, Question, Selected
from littoral.things.rules.actions import Action, ActionFailed, Sinks, failed
from littoral.things.rules.definition import CompiledRule
from littoral.things.rules.enrichment import answer
from littoral.things.rules.entries import uuids

log = logging.getLogger(__name__)

Failure = dict[str, str]
_RESOURCES: Final = {"RepublishAction": "RepublishTopic"}  # as AWS's entries name what an action acts on


@dataclass(slots=True)
class Run:
    """Lives from the first try to the last. ``step`` may be called again until it says there is nothing more to do."""

    rule: CompiledRule
    context: Context
    done: set[int] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    counted: bool = False

    async def step(self, sinks: Sinks, *, last: bool) -> bool:
        """Try what is not done; True when all is done or given up. ``last``: give up what fails now."""
        try:
            selected = await self._evaluate(sinks, last)
        except ActionFailed:  # an external function could not be asked now
            self.rule.metrics.retries += 1
            return False
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

    async def _evaluate(self, sinks: Sinks, last: bool) -> Selected | None:
        """Again from the beginning after each answer of an external function; what is made up stays as it was."""
        while True:
            self.context.new_uuid = uuids(self.context.trace_id, "select")
            if self.rule.rule.external:
                self.context.random = Random(self.context.trace_id).random
            try:
                selected = self.rule.rule.evaluate(self.context)
            except Asked as asked:
                self.context.answers[asked.question] = await self._answer(asked.question, sinks, last)
            except EvaluationError as error:
                if not self.failures:
                    self.rule.metrics.parse_errors += 1
                    self._failed("Select", self.rule.rule.topic_filter or "", str(error))
                    why: Callable[[], dict[str, str]] = partial(dict, reason=str(error))
                    sinks.note("ERROR", "RuleExecution", self.rule.name, self.context, why)
                return None
            else:
                self._count(selected)
                return selected

    async def _answer(self, question: Question, sinks: Sinks, last: bool) -> Any:
        called = {"ruleAction": question.function.title().replace("_", "")}
        try:
            found = await answer(question, sinks, self.rule.name)
        except ActionFailed as failure:
            if failure.passing and not last:
                raise
            why = str(failure)
            sinks.note("ERROR", "FunctionExecution", self.rule.name, self.context, lambda: {**called, "reason": why})
            return NoAnswer(why)
        sinks.note("DEBUG", "FunctionExecution", self.rule.name, self.context, lambda: called)
        return found

    def _count(self, selected: Selected | None) -> None:
        """Whether a message matches a rule that asks is known only now; of others the engine knew before."""
        if self.rule.rule.external and not self.counted:
            self.rule.metrics.matched += selected is not None
            self.counted = True

    async def _try(self, index: int, selected: Selected, sinks: Sinks, last: bool) -> None:
        action = self.rule.actions[index]
        self.context.new_uuid = uuids(self.context.trace_id, str(index))
        try:
            await action.run(selected, self.context, sinks, self.rule.name)
        except Exception as error:  # noqa: BLE001 - sorted below; nothing may stop the other actions
            failure = failed(error)
            if failure.passing and not last:
                return
            self.rule.metrics.done(action.kind, well=False)
            self._failed(action.kind, self._resource(action), str(failure))
            self._note(sinks, action, reason=str(failure))
        else:
            self.rule.metrics.done(action.kind, well=True)
            self._note(sinks, action)
        self.done.add(index)

    def _note(self, sinks: Sinks, action: Action, **failure: str) -> None:
        def about() -> dict[str, Any]:
            resources = {_RESOURCES.get(action.kind, "Resource"): self._resource(action)}
            return {"ruleAction": action.kind, "resources": resources, **failure}

        sinks.note("ERROR" if failure else "INFO", "RuleExecution", self.rule.name, self.context, about)

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
            if failure.passing and not last:
                return False
            self.rule.metrics.actions["ErrorAction", "failure"] += 1
        else:
            self.rule.metrics.actions["ErrorAction", "success"] += 1
        return True
