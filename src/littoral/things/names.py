"""ARNs of the IoT service, made and read in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass

THING_NAME = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
SHADOW_NAME = re.compile(r"[$a-zA-Z0-9:_-]{1,64}")
POLICY_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
RULE_NAME = re.compile(r"[a-zA-Z0-9_]{1,128}")
CERTIFICATE_ID = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class Names:
    region: str
    account: str

    def arn(self, kind: str, name: str) -> str:
        """``kind`` such as "thing", "cert", "policy", "rule", "thingtype", "thinggroup", "topic", "client", …"""
        return f"arn:aws:iot:{self.region}:{self.account}:{kind}/{name}"

    def name_in(self, kind: str, arn: str) -> str | None:
        """The name, if this is an ARN of that kind in this account and region."""
        prefix = self.arn(kind, "")
        return arn[len(prefix) :] if arn.startswith(prefix) and len(arn) > len(prefix) else None
