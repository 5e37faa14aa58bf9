"""Which certificates belong to which things."""

from __future__ import annotations

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun


class Principals(Noun):
    @operation()
    async def attach_thing_principal(self, call: Call, *, thing_name: str, principal: str) -> Output:
        async with self.registry.changing:
            self.thing(thing_name)
            certificate = self.certificate_of(principal)
            if (certificate.id, thing_name) not in self.registry.principals:
                await self.registry.principals.add(certificate.id, thing_name)
        self.registry.changed([certificate.id])
        return {}

    @operation()
    async def detach_thing_principal(self, call: Call, *, thing_name: str, principal: str) -> Output:
        async with self.registry.changing:
            self.thing(thing_name)
            certificate = self.certificate_of(principal)
            if (certificate.id, thing_name) in self.registry.principals:
                await self.registry.principals.remove(certificate.id, thing_name)
        self.registry.changed([certificate.id])
        return {}

    @operation()
    async def list_thing_principals(
        self, call: Call, *, thing_name: str, next_token: str | None = None, max_results: int | None = None
    ) -> Output:
        self.thing(thing_name)
        found, token = pages.names(self.registry.principals.of_name(thing_name), next_token, pages.size(max_results))
        return pages.with_token({"principals": [self.names.arn("cert", one) for one in found]}, "nextToken", token)

    @operation()
    async def list_principal_things(
        self, call: Call, *, principal: str, next_token: str | None = None, max_results: int | None = None
    ) -> Output:
        certificate = self.certificate_of(principal)
        found, token = pages.names(
            self.registry.principals.of_holder(certificate.id), next_token, pages.size(max_results)
        )
        return pages.with_token({"things": found}, "nextToken", token)
