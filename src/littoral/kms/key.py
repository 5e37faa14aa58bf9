"""A key: what is known of it, and its document. Pure.

Its material is kept sealed (``catalog``). A rotation adds material; what was encrypted before names the older one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from littoral.kms.errors import disabled, invalid, invalid_state, invalid_tags, malformed_policy

DAY: Final = 86400.0
WINDOW: Final = (7, 30)  # days until a key is deleted
PERIOD: Final = (90, 2560)  # days from one rotation to the next
USUAL_PERIOD: Final = 365
MOST_TAGS: Final = 50
MOST_POLICY: Final = 32 * 1024


@dataclass(slots=True)
class Key:
    id: str
    arn: str
    created: float
    description: str
    policy: str
    enabled: bool = True
    gone: float | None = None  # when it is deleted
    window: int = 0  # days that were given until then
    period: int | None = None  # days, where it is rotated
    rotated: list[float] = field(default_factory=list)  # when each material was made, the first with the key
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        if self.gone is not None:
            return "PendingDeletion"
        return "Enabled" if self.enabled else "Disabled"

    @property
    def due(self) -> float | None:
        """When new material is to be made."""
        return None if self.period is None else self.rotated[-1] + self.period * DAY

    @property
    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Key:
        return cls(**document)

    def metadata(self, account: str) -> dict[str, Any]:
        told = {
            "AWSAccountId": account,
            "KeyId": self.id,
            "Arn": self.arn,
            "CreationDate": self.created,
            "Enabled": self.state == "Enabled",
            "Description": self.description,
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeyState": self.state,
            "Origin": "AWS_KMS",
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
            "MultiRegion": False,
        }
        return told if self.gone is None else told | {"DeletionDate": self.gone}

    def check_changeable(self) -> None:
        """Raises KMSInvalidStateException."""
        if self.gone is not None:
            raise invalid_state(f"{self.arn} is pending deletion.")

    def check_usable(self) -> None:
        """Raises KMSInvalidStateException, DisabledException."""
        self.check_changeable()
        if not self.enabled:
            raise disabled(self.arn)

    def tag(self, tags: Sequence[Mapping[str, str]]) -> None:
        """Raises TagException."""
        if any(each["TagKey"].startswith("aws:") for each in tags):
            raise invalid_tags("Tags that begin with aws: are AWS's own.")
        self.tags |= {each["TagKey"]: each["TagValue"] for each in tags}
        if len(self.tags) > MOST_TAGS:
            raise invalid_tags(f"A key has at most {MOST_TAGS} tags.")


def days(value: int, bounds: tuple[int, int], what: str) -> int:
    """Raises ValidationException."""
    if not bounds[0] <= value <= bounds[1]:
        raise invalid(f"{what} must be between {bounds[0]} and {bounds[1]} (inclusive).")
    return value


def checked_policy(policy: str) -> str:
    """Raises MalformedPolicyDocumentException."""
    try:
        document = json.loads(policy)
    except (ValueError, RecursionError) as problem:
        raise malformed_policy("The policy is no JSON.") from problem
    if not isinstance(document, dict) or "Statement" not in document or len(policy.encode()) > MOST_POLICY:
        raise malformed_policy("The policy is no policy document, or longer than 32 KB.")
    return policy


def usual_policy(account: str) -> str:
    statement = {
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [statement]})
