"""The ``lambda`` action."""

from __future__ import annotations

from dataclasses import dataclass

from littoral.aws.invoke import Invocation, Invoker
from littoral.aws.service import ServiceError
from littoral.protocols.iotsql import Context, Selected, Template
from littoral.things.rules.actions.base import Action, ActionFailed, Parameters, Sinks, failed


@dataclass(frozen=True, slots=True)
class LambdaAction:
    function: Template
    kind: str = "LambdaAction"

    def resource(self, context: Context) -> str:
        return self.function.evaluate(context)

    async def run(self, selected: Selected, context: Context, sinks: Sinks, rule: str) -> None:
        if not selected.is_json:
            raise ActionFailed("A function takes JSON; encode a binary payload in the SELECT", passing=False)
        function = self.resource(context)
        try:
            await may_invoke(function, sinks, rule).invoke_async(Invocation(function, selected.payload))
        except Exception as error:
            raise failed(error) from error


def may_invoke(function: str, sinks: Sinks, rule: str) -> Invoker:
    """The invoker, where the function's resource policy lets the rule. Raises ActionFailed, ServiceError."""
    if sinks.invoker is None:
        raise ActionFailed("This place runs no functions", passing=False)
    if sinks.permits is not None and not sinks.permits(function, rule):
        words = f"The resource policy of {function} does not let iot.amazonaws.com invoke it for the rule {rule}"
        raise ServiceError("AccessDeniedException", words, status=403)
    return sinks.invoker


def read(parameters: Parameters) -> Action:
    parameters.check({"functionArn"})
    return LambdaAction(parameters.template("functionArn"))
