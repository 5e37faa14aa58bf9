"""Which certificates belong to which things.

An attachment is exclusive where the certificate belongs to that thing and to no other: then its connections are the
thing's, whatever their client id is.
"""

from __future__ import annotations

from typing import Final

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import invalid

EXCLUSIVE: Final = "EXCLUSIVE_THING"
NOT_EXCLUSIVE: Final = "NON_EXCLUSIVE_THING"


class Principals(Noun):
    @operation()
    async def attach_thing_principal(
        self, call: Call, *, thing_name: str, principal: str, thing_principal_type: str = NOT_EXCLUSIVE
    ) -> Output:
        async with self.registry.changing:
            self.thing(thing_name)
            certificate = self.certificate_of(principal)
            others = set(self.registry.principals.of_holder(certificate.id)) - {thing_name}
            if others and (thing_principal_type == EXCLUSIVE or self.registry.exclusive.of_holder(certificate.id)):
                raise invalid(f"{principal} is attached to the thing {min(others)}: one of the two excludes the other")
            if (certificate.id, thing_name) not in self.registry.principals:
                await self.registry.principals.add(certificate.id, thing_name)
            await self._set_exclusive(certificate.id, thing_name, thing_principal_type == EXCLUSIVE)
        self.registry.changed([certificate.id])
        return {}

    async def _set_exclusive(self, certificate: str, thing: str, wanted: bool) -> None:
        exclusive = self.registry.exclusive
        if ((certificate, thing) in exclusive) != wanted:
            await (exclusive.add if wanted else exclusive.remove)(certificate, thing)

    @operation()
    async def detach_thing_principal(self, call: Call, *, thing_name: str, principal: str) -> Output:
        async with self.registry.changing:
            self.thing(thing_name)
            certificate = self.certificate_of(principal)
            await self._set_exclusive(certificate.id, thing_name, False)
            if (certificate.id, thing_name) in self.registry.principals:
                await self.registry.principals.remove(certificate.id, thing_name)
        self.registry.changed([certificate.id])
        return {}

    def _attachment_type(self, certificate: str, thing: str) -> str:
        return EXCLUSIVE if (certificate, thing) in self.registry.exclusive else NOT_EXCLUSIVE

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
        thing_principal_type: str | None = None,
    ) -> Output:
        self.thing(thing_name)
        types = {one: self._attachment_type(one, thing_name) for one in self.registry.principals.of_name(thing_name)}
        wanted = [one for one, kind in types.items() if thing_principal_type in (None, kind)]
        found, token = pages.names(wanted, next_token, pages.size(max_results))
        objects = [{"principal": self.names.arn("cert", one), "thingPrincipalType": types[one]} for one in found]
        return pages.with_token({"thingPrincipalObjects": objects}, "nextToken", token)

    @operation()
    async def list_principal_things(
        self, call: Call, *, principal: str, next_token: str | None = None, max_results: int | None = None
    ) -> Output:
        certificate = self.certificate_of(principal)
        found, token = pages.names(
            self.registry.principals.of_holder(certificate.id), next_token, pages.size(max_results)
        )
        return pages.with_token({"things": found}, "nextToken", token)

    @operation()
    async def list_principal_things_v2(
        self,
        call: Call,
        *,
        principal: str,
        next_token: str | None = None,
        max_results: int | None = None,
        thing_principal_type: str | None = None,
    ) -> Output:
        certificate = self.certificate_of(principal)
        types = {
            one: self._attachment_type(certificate.id, one)
            for one in self.registry.principals.of_holder(certificate.id)
        }
        wanted = [one for one, kind in types.items() if thing_principal_type in (None, kind)]
        found, token = pages.names(wanted, next_token, pages.size(max_results))
        objects = [{"thingName": one, "thingPrincipalType": types[one]} for one in found]
        return pages.with_token({"principalThingObjects": objects}, "nextToken", token)
