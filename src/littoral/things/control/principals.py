"""Which certificates belong to which things."""

from __future__ import annotations

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun

NOT_EXCLUSIVE = "NON_EXCLUSIVE_THING"


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
    async def list_thing_principals_v2(
        self,
        call: Call,
        *,
        thing_name: str,
        next_token: str | None = None,
        max_results: int | None = None,
        thing_principal_type: str = NOT_EXCLUSIVE,
    ) -> Output:
        """There are no exclusive attachments here: who asks for those finds none."""
        listed = await self.list_thing_principals(
            call, thing_name=thing_name, next_token=next_token, max_results=max_results
        )
        found = listed["principals"] if thing_principal_type == NOT_EXCLUSIVE else []
        objects = [{"principal": one, "thingPrincipalType": NOT_EXCLUSIVE} for one in found]
        return pages.with_token({"thingPrincipalObjects": objects}, "nextToken", listed.get("nextToken"))

    @operation()
    async def list_principal_things_v2(
        self,
        call: Call,
        *,
        principal: str,
        next_token: str | None = None,
        max_results: int | None = None,
        thing_principal_type: str = NOT_EXCLUSIVE,
    ) -> Output:
        listed = await self.list_principal_things(
            call, principal=principal, next_token=next_token, max_results=max_results
        )
        found = listed["things"] if thing_principal_type == NOT_EXCLUSIVE else []
        objects = [{"thingName": one, "thingPrincipalType": NOT_EXCLUSIVE} for one in found]
        return pages.with_token({"principalThingObjects": objects}, "nextToken", listed.get("nextToken"))

    @operation()
    async def list_principal_things(
        self, call: Call, *, principal: str, next_token: str | None = None, max_results: int | None = None
    ) -> Output:
        certificate = self.certificate_of(principal)
        found, token = pages.names(
            self.registry.principals.of_holder(certificate.id), next_token, pages.size(max_results)
        )
        return pages.with_token({"things": found}, "nextToken", token)
