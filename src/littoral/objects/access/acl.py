"""Access control lists: canned names, grants in headers and documents, and what they permit. Pure. ("Access control
list (ACL) overview" of the S3 user guide)

Accounts are known to us by their number, and to ACLs by a canonical id of 64 hex digits, which is made of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from littoral.objects.errors import error, invalid_argument, malformed

GROUPS = "http://acs.amazonaws.com/groups/"
EVERYONE = f"{GROUPS}global/AllUsers"
SIGNED = f"{GROUPS}global/AuthenticatedUsers"
LOGGING = f"{GROUPS}s3/LogDelivery"
PERMISSIONS = ("FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP")
CANNED = {  # beside the owner's own FULL_CONTROL; "bucket" stands for the bucket's owner
    "private": (),
    "public-read": ((EVERYONE, "READ"),),
    "public-read-write": ((EVERYONE, "READ"), (EVERYONE, "WRITE")),
    "authenticated-read": ((SIGNED, "READ"),),
    "aws-exec-read": (),
    "log-delivery-write": ((LOGGING, "WRITE"), (LOGGING, "READ_ACP")),
    "bucket-owner-read": (("bucket", "READ"),),
    "bucket-owner-full-control": (("bucket", "FULL_CONTROL"),),
}
MOST_GRANTS = 100
_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*"?([^",]*)"?\s*', re.IGNORECASE)


@lru_cache(maxsize=256)
def canonical_id(account: str) -> str:
    return hashlib.sha256(account.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Grant:
    grantee: str  # a canonical id, or the URI of a group
    permission: str

    @property
    def public(self) -> bool:
        return self.grantee in (EVERYONE, SIGNED)


@dataclass(frozen=True, slots=True)
class Acl:
    """``owner`` is an account."""

    owner: str
    grants: tuple[Grant, ...]

    @classmethod
    def load(cls, raw: Mapping[str, Any]) -> Acl:
        return cls(raw["owner"], tuple(Grant(**grant) for grant in raw["grants"]))

    @classmethod
    def read(cls, kept: str) -> Acl:
        return cls.load(json.loads(kept))

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @property
    def public(self) -> bool:
        return any(grant.public for grant in self.grants)

    def private(self) -> bool:
        """Whether it says nothing but that its owner has full control."""
        return all(grant.grantee == canonical_id(self.owner) for grant in self.grants)

    def allows(self, permission: str, account: str, *, groups: bool = True) -> bool:
        """``account`` is "" for who did not sign; without ``groups`` what everybody may does not count."""
        names = {canonical_id(account)} if account else set()
        if groups:
            names |= {EVERYONE, SIGNED} if account else {EVERYONE}
        return any(each.grantee in names and each.permission in (permission, "FULL_CONTROL") for each in self.grants)


def private(owner: str) -> Acl:
    return Acl(owner, (Grant(canonical_id(owner), "FULL_CONTROL"),))


def canned(name: str, owner: str, bucket_owner: str) -> Acl:
    """Groups first, then the owner. Raises InvalidArgument."""
    if name not in CANNED:
        raise invalid_argument("", "x-amz-acl", name)
    given = [Grant(canonical_id(bucket_owner) if who == "bucket" else who, what) for who, what in CANNED[name]]
    groups = [grant for grant in given if grant.grantee.startswith(GROUPS)]
    others = [grant for grant in given if grant not in groups and bucket_owner != owner]
    return Acl(owner, (*groups, *private(owner).grants, *others))


def from_headers(headers: Mapping[str, str], owner: str, known: Collection[str]) -> Acl:
    """``headers`` are x-amz-grant-… values by permission: lists of id="…", uri="…". Raises InvalidArgument."""
    grants = []
    for permission, value in headers.items():
        for each in value.split(","):
            found = _GRANTEE.fullmatch(each)
            if found is None:
                raise invalid_argument("Argument format not recognized", f"x-amz-grant-{permission.lower()}", value)
            kind = found[1].lower()
            grants.append(
                Grant(_grantee({"id": "ID", "uri": "URI"}.get(kind, "EmailAddress"), found[2], known), permission)
            )
    return Acl(owner, tuple(grants))


def from_document(document: Mapping[str, Any], owner: str, known: Collection[str]) -> Acl:
    """AccessControlPolicy. Raises MalformedACLError, InvalidArgument, AccessDenied where it names another owner."""
    named = (document.get("Owner") or {}).get("ID")
    if named is not None and named != canonical_id(owner):
        raise error("AccessDenied", "Access Denied")
    if named is None or document.get("Grants") is None:
        raise malformed_acl()
    if len(document["Grants"]) > MOST_GRANTS:
        raise error("MalformedACLError", f"An access control list has at most {MOST_GRANTS} grants")
    return Acl(owner, tuple(_grant(each, known) for each in document["Grants"]))


def malformed_acl() -> Exception:
    message = "The XML you provided was not well-formed or did not validate against our published schema"
    return error("MalformedACLError", message)


def _grant(given: Mapping[str, Any], known: Collection[str]) -> Grant:
    grantee, permission = given.get("Grantee") or {}, given.get("Permission")
    if permission not in PERMISSIONS:
        raise malformed_acl()
    member = {"CanonicalUser": "ID", "Group": "URI", "AmazonCustomerByEmail": "EmailAddress"}.get(
        grantee.get("Type", "")
    )
    if member is None or not grantee.get(member):
        raise malformed()
    return Grant(_grantee(member, grantee[member], known), permission)


def _grantee(member: str, name: str, known: Collection[str]) -> str:
    """Raises InvalidArgument, UnresolvableGrantByEmailAddress."""
    if member == "EmailAddress":
        message = "The e-mail address you provided does not match any account on record."
        raise error("UnresolvableGrantByEmailAddress", message)
    if member == "URI":
        if name not in (EVERYONE, SIGNED, LOGGING):
            raise invalid_argument("Invalid group uri", "uri", name)
    elif name not in known:
        raise invalid_argument("Invalid id", "CanonicalUser/ID", name)
    return name


def shown(acl: Acl, display: Mapping[str, str]) -> dict[str, Any]:
    """As GetBucketAcl and GetObjectAcl tell it; ``display`` names canonical ids."""
    owner = canonical_id(acl.owner)
    return {
        "Owner": {"ID": owner, "DisplayName": acl.owner},
        "Grants": [{"Grantee": _shown(grant.grantee, display), "Permission": grant.permission} for grant in acl.grants],
    }


def _shown(grantee: str, display: Mapping[str, str]) -> dict[str, str]:
    if grantee.startswith(GROUPS):
        return {"Type": "Group", "URI": grantee}
    return {"Type": "CanonicalUser", "ID": grantee, "DisplayName": display.get(grantee, "")}
