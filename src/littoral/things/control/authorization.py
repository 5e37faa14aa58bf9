"""What policies would say: TestAuthorization, without a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from littoral.aws.service import Call, Output, operation
from littoral.protocols.iotpolicy import Grants, Policy, PolicyError
from littoral.things.control.base import Noun
from littoral.things.control.errors import invalid
from littoral.things.control.policies import listed
from littoral.things.names import Names
from littoral.things.permissions import Caller, Permissions
from littoral.things.registry import PolicyRecord

_ACTIONS: Final = {
    "PUBLISH": "iot:Publish",
    "SUBSCRIBE": "iot:Subscribe",
    "RECEIVE": "iot:Receive",
    "CONNECT": "iot:Connect",
}


class Authorization(Noun):
    """``permissions`` is set when the API is composed."""

    permissions: Permissions

    @operation(notes="by certificate; cognitoIdentityPoolId is refused")
    async def test_authorization(
        self,
        call: Call,
        *,
        auth_infos: Sequence[Mapping[str, Any]],
        principal: str | None = None,
        client_id: str | None = None,
        policy_names_to_add: Sequence[str] = (),
        policy_names_to_skip: Sequence[str] = (),
    ) -> Output:
        """As if the certificate, ACTIVE, asked from this caller's address with that client id. A resource is an ARN."""
        names: list[str] = []
        variables: Mapping[str, str | tuple[str, ...]] = {}
        if principal is not None:
            certificate = self.certificate_of(principal)
            names = self.registry.policies_of(certificate.id)
            variables = self.permissions.variables(Caller(certificate.id, client_id, call.request.peer.host))
        kept = [name for name in dict.fromkeys((*names, *policy_names_to_add)) if name not in policy_names_to_skip]
        policies = [self.policy(name) for name in kept]
        return {"authResults": [_result(self.names, info, policies, variables) for info in auth_infos]}


def _result(
    names: Names, info: Mapping[str, Any], policies: Sequence[PolicyRecord], variables: Mapping[str, Any]
) -> Output:
    """One decision for all resources of an entry: denied where one of them is."""
    action = _ACTIONS.get(info.get("actionType", ""))
    if action is None:
        raise invalid(f"actionType is one of {', '.join(_ACTIONS)}")
    resources = info["resources"]
    allowing, denying = [], []
    for record in policies:
        try:
            grants = Grants([Policy.parse(record.default.text)], variables)
        except PolicyError as problem:
            raise invalid(f"The policy {record.name} cannot be enforced here: {problem}") from None
        if any(grants.denies(action, resource) for resource in resources):
            denying.append(record.name)
        if any(grants.allows(action, resource) for resource in resources):
            allowing.append(record.name)
    together = Grants([Policy.parse(record.default.text) for record in policies], variables)
    if all(together.allows(action, resource) for resource in resources):
        decision = "ALLOWED"
    else:
        decision = "EXPLICIT_DENY" if denying else "IMPLICIT_DENY"
    return {
        "authInfo": {"actionType": info["actionType"], "resources": list(resources)},
        "allowed": {"policies": listed(names, allowing)},
        "denied": {
            "implicitDeny": {"policies": []},
            "explicitDeny": {"policies": listed(names, denying)},
        },
        "authDecision": decision,
        "missingContextValues": [],
    }
