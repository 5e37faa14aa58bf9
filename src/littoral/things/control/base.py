"""What every noun of the API stands on: the registry, the names, and lookups that raise the modelled error."""

from __future__ import annotations

from littoral.things.control.errors import invalid, not_found
from littoral.things.names import Names
from littoral.things.registry import Certificate, PolicyRecord, Registry, Thing, ThingGroup


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

    def named_thing(self, name: str | None, arn: str | None) -> Thing:
        """By name or by ARN, as some operations let a caller choose."""
        found = name if arn is None else self.names.name_in("thing", arn)
        if found is None or (name is not None and found != name):
            raise invalid("A thing's name or its ARN is needed, and both must agree")
        return self.thing(found)

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

    def certificate_of(self, principal: str) -> Certificate:
        """The certificate that an ARN names. Other principals (Cognito identities) do not exist here."""
        certificate_id = self.names.name_in("cert", principal)
        if certificate_id is None:
            raise invalid(f"{principal!r} is not the ARN of a certificate of this account and region")
        return self.certificate(certificate_id)
