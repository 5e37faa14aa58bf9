"""Components that are asked before a deployment changes what runs: may they be updated now, is the configuration good?

A component is asked when it has subscribed. Whoever answers with a time to wait is asked again after that, until the
deployment's own timeout; whoever does not answer is not waited for beyond it. A configuration that is refused, or not
judged in time, fails the deployment. Sources: "Update component configurations", SubscribeToComponentUpdates and
SubscribeToValidateConfigurationUpdates in the AWS IoT Greengrass V2 guide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from littoral.core.document import Deployment
from littoral.core.recipe import BadComponent

Ask = Callable[[Mapping[str, Any]], None]
"""Sends an event to one subscriber."""


@dataclass(slots=True)
class _Question:
    """One round of asking for one deployment."""

    deployment: str
    open: set[str]  # components that have not answered
    wait: float = 0.0  # the longest time that one asks for, in seconds
    refused: dict[str, str] = field(default_factory=dict)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self, component: str) -> None:
        self.open.discard(component)
        if not self.open:
            self.answered.set()

    async def settled(self, timeout: float) -> bool:
        if self.open:
            try:
                async with asyncio.timeout(timeout):
                    await self.answered.wait()
            except TimeoutError:
                return False
        return True


class Consulting:
    """The IPC adds and takes away subscribers and passes answers on; the deployment asks."""

    def __init__(self) -> None:
        self._updates: dict[str, list[Ask]] = {}
        self._validations: dict[str, list[Ask]] = {}
        self._notice: _Question | None = None
        self._judgement: _Question | None = None

    # ------------------------------------------------------------------------------------- for the IPC

    def on_update(self, component: str, ask: Ask) -> Callable[[], None]:
        """What is returned ends it."""
        return _added(self._updates, component, ask, lambda: self._gone(self._notice, component))

    def on_validation(self, component: str, ask: Ask) -> Callable[[], None]:
        return _added(self._validations, component, ask, lambda: self._gone(self._judgement, component))

    def defer(self, component: str, deployment: str, seconds: float) -> bool:
        """0: it may be updated. Whether it was asked about that deployment."""
        question = self._notice
        if question is None or question.deployment != deployment or component not in question.open:
            return False
        question.wait = max(question.wait, seconds)
        question.close(component)
        return True

    def judged(self, component: str, deployment: str, problem: str | None) -> bool:
        """None: its new configuration is good. Whether it was asked about that deployment."""
        question = self._judgement
        if question is None or question.deployment != deployment or component not in question.open:
            return False
        if problem is not None:
            question.refused[component] = problem
        question.close(component)
        return True

    # ------------------------------------------------------------------------------------- for the deployment

    async def validate(self, wanted: Deployment, proposed: Mapping[str, Mapping[str, Any]]) -> None:
        """Raises BadComponent."""
        asked = {name: value for name, value in proposed.items() if self._validations.get(name)}
        question = self._judgement = _Question(wanted.deployment_id, set(asked))
        for name, value in asked.items():
            event = {"deploymentId": wanted.deployment_id, "configuration": dict(value)}
            for ask in list(self._validations[name]):
                ask({"validateConfigurationUpdateEvent": event})
        in_time = await question.settled(wanted.validation_timeout)
        self._judgement = None
        if question.refused:
            said = "; ".join(f"{name}: {problem}" for name, problem in sorted(question.refused.items()))
            raise BadComponent(f"the configuration is refused by {said}")
        if not in_time:
            raise BadComponent(f"the configuration is not judged in time by {', '.join(sorted(question.open))}")

    async def notify(self, wanted: Deployment) -> None:
        """Returns when all agree, or the time is over."""
        if not wanted.notify:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wanted.notify_timeout
        event = {"preUpdateEvent": {"deploymentId": wanted.deployment_id, "isGgcRestarting": False}}
        while (left := deadline - loop.time()) > 0:
            question = self._notice = _Question(wanted.deployment_id, set(self._updates))
            self._tell(event)
            await question.settled(left)
            self._notice = None
            if not question.wait:
                return
            await asyncio.sleep(min(question.wait, max(0.0, deadline - loop.time())))

    def updated(self, wanted: Deployment) -> None:
        if wanted.notify:
            self._tell({"postUpdateEvent": {"deploymentId": wanted.deployment_id}})

    def _tell(self, event: Mapping[str, Any]) -> None:
        for asks in list(self._updates.values()):
            for ask in list(asks):
                ask(event)

    def _gone(self, question: _Question | None, component: str) -> None:
        if question is not None:
            question.close(component)


def _added(table: dict[str, list[Ask]], component: str, ask: Ask, gone: Callable[[], None]) -> Callable[[], None]:
    table.setdefault(component, []).append(ask)

    def end() -> None:
        table[component].remove(ask)
        if not table[component]:
            del table[component]
            gone()

    return end
