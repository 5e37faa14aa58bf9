"""What a certificate may do, from the registry's policies; what a client may do that an authorizer let in.

Theory: policies are parsed once per version, bound once per (certificate, client id, address), and asked per packet;
all three are remembered until the registry says that something about the certificate has changed. A certificate that
is unknown or not ACTIVE may do nothing, whatever its policies say.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from littoral.protocols.iotpolicy import Grants, Policy, PolicyError
from littoral.things.access import Admission
from littoral.things.names import Names
from littoral.things.registry import Certificate, PolicyRecord, Registry, Thing
from littoral.things.registry.subject import certificate_variables

log = logging.getLogger(__name__)

Variables = dict[str, str | tuple[str, ...]]

MAX_BOUND: Final = 20_000  # connections whose grants are remembered; more are bound again when asked


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. ``client_id`` is None over HTTPS, where AWS has no thing variables either. With an admission there is
    no certificate, and its policies are all there are."""

    certificate: str
    client_id: str | None
    source_ip: str
    admission: Admission | None = None

    @property
    def principal(self) -> str:
        return self.admission.principal if self.admission is not None else self.certificate


class Permissions:
    def __init__(self, registry: Registry, names: Names) -> None:
        self._registry = registry
        self._names = names
        self._policies: dict[tuple[str, str, int], Policy] = {}
        self._bound: OrderedDict[Caller, Grants] = OrderedDict()
        self._subjects: dict[str, Variables] = {}
        registry.on_change(self._forget)

    def active(self, certificate: str) -> bool:
        """Registered and ACTIVE, or a claim that has not run out."""
        fact = self._registry.certificates.get(certificate)
        return fact.status == "ACTIVE" if fact is not None else certificate in self._registry.claims

    def allows(self, caller: Caller, action: str, kind: str, name: str) -> bool:
        """``allows(caller, "iot:Publish", "topic", "ward/7")``. Kind "" asks for an action without a resource."""
        return self.allows_arn(caller, action, self._names.arn(kind, name) if kind else "*")

    def allows_arn(self, caller: Caller, action: str, arn: str) -> bool:
        """The same for a resource that is no IoT resource, such as a Greengrass component."""
        grants = self._bound.get(caller)
        if grants is None:
            grants = self._bind(caller)
        return grants.allows(action, arn)

    def why_not(self, caller: Caller, action: str, kind: str, name: str) -> str:
        """The reason of a refusal: NO_CERTIFICATE, NOT_REGISTERED, the certificate's status, EXPLICIT_DENY or
        IMPLICIT_DENY (no policy says anything of it)."""
        if caller.admission is None:
            if not caller.certificate:
                return "NO_CERTIFICATE"
            fact = self._registry.certificates.get(caller.certificate)
            if fact is None and caller.certificate not in self._registry.claims:
                return "NOT_REGISTERED"
            if fact is not None and fact.status != "ACTIVE":
                return fact.status
        grants = self._bound.get(caller) or self._bind(caller)
        denied = grants.denies(action, self._names.arn(kind, name) if kind else "*")
        return "EXPLICIT_DENY" if denied else "IMPLICIT_DENY"

    def allows_connect(self, caller: Caller, attributes: Iterable[str]) -> bool:
        """``attributes`` are AWS's ConnectAttributes: "PersistentConnect", "LastWill"."""
        if caller.client_id is None:
            return False
        more: Variables = {"iot:connectattributes": tuple(attributes)}
        return self.allows_with(caller, "iot:Connect", "client", caller.client_id, more)

    def allows_with(self, caller: Caller, action: str, kind: str, name: str, more: Variables) -> bool:
        """With condition keys of this request."""
        grants = Grants(self._policies_of(caller), {**self.variables(caller), **more})
        return grants.allows(action, self._names.arn(kind, name))

    # -------------------------------------------------------------------------------------------- internals

    def _bind(self, caller: Caller) -> Grants:
        grants = self._bound[caller] = Grants(self._policies_of(caller), self.variables(caller))
        while len(self._bound) > MAX_BOUND:
            self._bound.popitem(last=False)
        return grants

    def _policies_of(self, caller: Caller) -> list[Policy]:
        if caller.admission is not None:  # they were parsed once before, to know that they can be
            return [Policy.parse(text) for text in caller.admission.policies]
        return self._attached(caller.certificate) if self.active(caller.certificate) else []

    def _attached(self, certificate: str) -> list[Policy]:
        claim = self._registry.claims.get(certificate)
        if claim is not None:
            return [claim.policy(self._names)]
        policies = []
        for name in self._registry.policies_of(certificate):
            record = self._registry.policies.get(name)
            if record is None:
                continue
            try:
                policies.append(self._parsed(record))
            except PolicyError:  # carried here by a newer place: it may hold a Deny, so nothing at all is granted
                log.exception("policy %s cannot be enforced here; certificate %s is denied all", name, certificate)
                return []
        return policies

    def _parsed(self, record: PolicyRecord) -> Policy:
        key = (record.name, record.generation, record.default_id)
        policy = self._policies.get(key)
        if policy is None:
            policy = self._policies[key] = Policy.parse(record.default.text)
        return policy

    def variables(self, caller: Caller) -> Variables:
        """Those of the certificate, the address, and its thing (thing-policy-variables): the one that it is exclusively
        attached to, else one that it is attached to and that has the client id for its name."""
        fact = self._registry.certificates.get(caller.certificate)
        variables: Variables = {"aws:sourceip": caller.source_ip}
        if fact is not None:
            variables.update(self._subject(fact))
        if caller.client_id is None:
            return variables
        variables["iot:clientid"] = caller.client_id
        attached, thing = self._thing(caller.certificate, caller.client_id)
        variables["iot:connection.thing.isattached"] = "true" if attached else "false"
        if thing is not None:
            variables["iot:connection.thing.thingname"] = thing.name
            if thing.type_name:
                variables["iot:connection.thing.thingtypename"] = thing.type_name
            for name, value in thing.attributes.items():
                variables[f"iot:connection.thing.attributes[{name}]"] = value
        return variables

    def _thing(self, certificate: str, client_id: str) -> tuple[bool, Thing | None]:
        exclusive = self._registry.exclusive.of_holder(certificate)
        name = exclusive[0] if exclusive else client_id
        attached = (certificate, name) in self._registry.principals
        return attached, self._registry.things.get(name) if attached else None

    def propagated(self, certificate: str, client_id: str) -> tuple[tuple[str, str], ...]:
        """What the type of its thing adds to what this client publishes, as user properties."""
        _, thing = self._thing(certificate, client_id)
        kind = self._registry.types.get(thing.type_name) if thing is not None and thing.type_name else None
        return kind.added(thing, client_id) if thing is not None and kind is not None else ()

    def _subject(self, fact: Certificate) -> Variables:
        found = self._subjects.get(fact.id)
        if found is None:
            found = self._subjects[fact.id] = certificate_variables(fact.pem)
        return found

    def _forget(self, certificates: frozenset[str]) -> None:
        for caller in [caller for caller in self._bound if caller.certificate in certificates]:
            del self._bound[caller]
        for certificate in certificates:
            self._subjects.pop(certificate, None)
