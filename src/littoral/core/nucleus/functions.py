"""The components of a core that are Lambda functions, as the IPC knows them: a token, and a configuration.

Their processes are the functions' affair, within the sandbox of any function. What such a process needs to be a
component is asked for when it starts (``Nucleus.surroundings``): the token is another after each start of the core.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from littoral.core.configuration import Configuration
from littoral.core.recipe import LambdaComponent
from littoral.store.documents import Documents

SYSTEM = "arn:aws:lambda:::function:"
ROUTER, SHADOWS, SECRETS = f"{SYSTEM}GGRouter", f"{SYSTEM}GGShadowService", f"{SYSTEM}GGSecretManager:1"
"""What greengrasssdk invokes for publish, for shadows and for secrets."""


@dataclass(slots=True)
class _Known:
    component: LambdaComponent
    token: str
    configuration: Configuration


class FunctionComponents:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._known: dict[str, _Known] = {}

    async def change(self, wanted: Sequence[LambdaComponent]) -> None:
        """These and no others. Raises StoreError."""
        for name in self._known.keys() - {each.name for each in wanted}:
            del self._known[name]
        for component in wanted:
            if component.name not in self._known:
                kept = await self._documents.get(component.name)
                configuration = Configuration.of_document(kept) if kept else Configuration()
                self._known[component.name] = _Known(component, secrets.token_urlsafe(32), configuration)
            known = self._known[component.name]
            known.component, before = component, known.configuration.document()
            known.configuration.fill(component.defaults)
            for update in component.updates:
                known.configuration.apply(update, component.defaults)
            if known.configuration.document() != before:
                await self.save(component.name)

    @property
    def tokens(self) -> dict[str, str]:
        """By the component's name."""
        return {name: each.token for name, each in self._known.items()}

    def configuration(self, name: str) -> Configuration | None:
        known = self._known.get(name)
        return known.configuration if known is not None else None

    async def save(self, name: str) -> None:
        await self._documents.put(name, self._known[name].configuration.document())

    def all(self) -> list[LambdaComponent]:
        return [each.component for each in self._known.values()]

    def component(self, name: str) -> LambdaComponent | None:
        known = self._known.get(name)
        return known.component if known is not None else None

    def of_arn(self, arn: str) -> LambdaComponent | None:
        """The component made of that function; its version may be left out."""
        for each in self._known.values():
            if arn in (each.component.arn, each.component.arn.rpartition(":")[0]):
                return each.component
        return None

    def names(self, name: str) -> Mapping[str, str]:
        """The variables by which greengrasssdk knows its function, and whom to ask for what."""
        component = self._known[name].component
        return {
            "MY_FUNCTION_ARN": component.arn,
            "ROUTER_FUNCTION_ARN": ROUTER,
            "SHADOW_FUNCTION_ARN": SHADOWS,
            "SECRETS_MANAGER_FUNCTION_ARN": SECRETS,
            "ENCODING_TYPE": "binary" if component.binary else "json",
        }
