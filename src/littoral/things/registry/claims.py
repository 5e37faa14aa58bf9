"""Provisioning claims: certificates that are good for minutes and for nothing but one template."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from littoral.protocols.iotpolicy import Policy
from littoral.things.names import Names

LIFE: Final = 300.0  # seconds; AWS: "expires after 5 minutes"
_ACTIONS: Final = (("iot:Publish", "topic"), ("iot:Receive", "topic"), ("iot:Subscribe", "topicfilter"))
_TOPICS: Final = ("$aws/certificates/create/*", "$aws/certificates/create-from-csr/*")


@dataclass(frozen=True, slots=True)
class Claim:
    certificate: str
    template: str
    expires: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Claim:
        return cls(**found)

    def policy(self, names: Names) -> Policy:
        topics = (*_TOPICS, f"$aws/provisioning-templates/{self.template}/provision/*")
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": [names.arn(kind, topic) for topic in topics]}
            for action, kind in _ACTIONS
        ]
        connect = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
        return Policy.parse(json.dumps({"Version": "2012-10-17", "Statement": [connect, *statements]}))
