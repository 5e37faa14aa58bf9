"""What every noun of the API stands on: the registry, the names, and lookups that raise the modelled error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from littoral.things.control.errors import delete_conflict, invalid, not_found, versions_limit_exceeded
from littoral.things.control.tagging import TagList, checked, of_list
from littoral.things.names import Names
from littoral.things.registry import Certificate, PolicyRecord, Registry, Thing, ThingGroup
from littoral.things.versions import MOST, Version, Versioned

Record = TypeVar("Record", bound=Versioned)


class Noun:
    """``registry`` is shared by all nouns; each changes it only while holding ``registry.changing``."""

    def __init__(self, registry: Registry, names: Names) -> None:
        self.registry = registry
        self.names = names

    def thing(self, name: str) -> Thing:
        found = self.registry.things.get(name)
        if found is None:
            raise not_found(f"Thing {name} cannot be found.")
        return found

    def named(self, kind: str, name: str | None, arn: str | None) -> str:
        """The name, where an operation lets a caller choose between it and the ARN."""
        found = name if arn is None else self.names.name_in(kind, arn)
        if found is None or (name is not None and found != name):
            raise invalid(f"The name of a {kind} or its ARN is needed, and both must agree")
        return found

    def group(self, name: str) -> ThingGroup:
        found = self.registry.groups.get(name)
        if found is None:
            raise not_found(f"Thing group {name} cannot be found.")
        return found

    def certificate(self, certificate_id: str) -> Certificate:
        found = self.registry.certificates.get(certificate_id)
        if found is None:
            raise not_found(f"Certificate {certificate_id} does not exist.")
        return found

    def policy(self, name: str) -> PolicyRecord:
        found = self.registry.policies.get(name)
        if found is None:
            raise not_found(f"Policy not found: {name}")
        return found

    async def keep_tags(self, arn: str, made: float, tags: Mapping[str, str]) -> None:
        """``made``: when the resource was. Raises InvalidRequestException, LimitExceededException."""
        await self.registry.tags.put(arn, {"of": str(made), "tags": checked(tags)})

    async def tag_new(self, arn: str, made: float, tags: TagList) -> None:
        """Before the resource itself is kept: tags of what is not there are nobody's."""
        if tags:
            await self.keep_tags(arn, made, of_list(tags))

    def version(self, record: Versioned, version_id: int | str) -> Version:
        """A version by its number, which is text where it is a policy's."""
        found = next((one for one in record.versions if str(one.id) == str(version_id)), None)
        if found is None:
            raise not_found(f"{record.name} has no version {version_id}.")
        return found

    def more(self, record: Record, text: str, now: float, *, as_default: bool) -> Record:
        """The record with one more version."""
        if len(record.versions) >= MOST:
            raise versions_limit_exceeded(f"{record.name} already has the maximum number of versions ({MOST})")
        return record.adding(text, now, as_default=as_default)

    def fewer(self, record: Record, version_id: int | str, now: float) -> Record:
        """The record without one version."""
        gone = self.version(record, version_id)
        if gone.id == record.default_id:
            raise delete_conflict(f"Cannot delete version {version_id} of {record.name}: it is the default version")
        return record.without(gone, now)

    def certificate_of(self, principal: str) -> Certificate:
        """The certificate that an ARN names. Other principals (Cognito identities) do not exist here."""
        certificate_id = self.names.name_in("cert", principal)
        if certificate_id is None:
            raise invalid(f"{principal!r} is not the ARN of a certificate of this account and region")
        return self.certificate(certificate_id)
