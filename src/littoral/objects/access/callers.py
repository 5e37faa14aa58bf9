"""Who asks, as far as permissions go."""

from __future__ import annotations

from dataclasses import dataclass

from littoral.aws.service import Principal
from littoral.objects.access.acl import canonical_id


@dataclass(frozen=True, slots=True)
class Caller:
    """``account`` is "" for who did not sign. Whose key is ``limited`` may do what a policy or a list grants, and who
    is not may do whatever their account may."""

    arn: str
    account: str
    limited: bool

    @classmethod
    def of(cls, principal: Principal) -> Caller:
        if principal.kind != "key":
            return cls("", "", limited=True)
        return cls(principal.arn, principal.account, principal.limited)

    @property
    def canonical(self) -> str:
        return canonical_id(self.account) if self.account else ""

    @property
    def root(self) -> bool:
        return self.arn.endswith(":root")
