"""Whether a caller may do what they ask.

Owns: the order in which policy, ownership and lists are asked. ("How Amazon S3 authorizes a request")

1. Whoever may do all that the place's own account may passes, unless the bucket is ``Index.guarded``.
2. A Deny of the bucket's policy refuses, whoever asks; only the owner's root always reaches the policy itself.
3. The bucket's account may do everything, but for objects that another account wrote and kept (ObjectWriter).
4. An Allow of the policy grants, unless public access is restricted and the policy is public.
5. Where lists are not switched off (BucketOwnerEnforced), a grant of the bucket's or the object's list does.
6. Where the bucket's requesters pay, one of another account must say that they will.

What an object's list or tags decide is decided of the object as it is then. It may be overwritten before it is read:
whoever reads it asks ``still``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from littoral.aws.service import Call, ServiceError
from littoral.objects.access import acl as lists
from littoral.objects.access.acl import Acl
from littoral.objects.access.callers import Caller
from littoral.objects.access.keys import EXISTING, keys_of
from littoral.objects.access.needs import BY_KEY, LIST_BUCKET, NEEDS, OF_ACCOUNT, READ_OBJECT, Need, further
from littoral.objects.access.public import Block
from littoral.objects.errors import error
from littoral.objects.facts import Bucket, Stored
from littoral.objects.index import Index
from littoral.protocols.iam.resourcepolicy import Asked, ResourcePolicy, Verdict

_OWN_POLICY = frozenset(("s3:PutBucketPolicy", "s3:GetBucketPolicy", "s3:DeleteBucketPolicy"))
PAYER = "x-amz-request-payer"
_parsed = lru_cache(maxsize=256)(ResourcePolicy.parse)


@dataclass(slots=True)
class _Matter:
    """What is asked for, and of what."""

    call: Call
    caller: Caller
    need: Need
    bucket: str
    held: Bucket
    key: str | None
    version: str | None
    given: Mapping[str, Any]

    @property
    def action(self) -> str:
        return self.need.named(self.version)

    @property
    def resource(self) -> str:
        return f"arn:aws:s3:::{self.bucket}" + (f"/{self.key}" if self.need.of == "object" else "")


class Gate:
    """``enforces`` is off where a place takes any credentials: nobody is who they say."""

    def __init__(self, index: Index, account: str) -> None:
        self._index = index
        self._account = account
        self.enforces = True
        self.accounts: Callable[[], set[str]] = lambda: {account}

    def admit(self, call: Call, given: Mapping[str, Any]) -> None:
        """Before an operation. Raises AccessDenied, NoSuchBucket."""
        caller, name = Caller.of(call.principal), call.operation
        if not self.enforces:
            return
        if name in OF_ACCOUNT:
            if caller.limited:
                raise denied()
            return
        bucket = given["Bucket"]
        if self._trusted(caller, bucket):
            return
        held = self._index.bucket(bucket)
        if name in BY_KEY:
            return
        key, version = given.get("Key"), given.get("VersionId")
        for need in (NEEDS[name], *further(name, given)):
            self._check(_Matter(call, caller, need, bucket, held, key, version, given))

    def check(
        self,
        call: Call,
        need: Need,
        bucket: str,
        key: str,
        version: str | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        """Within an operation: of an object that it reaches beside the one it is for. Raises AccessDenied."""
        caller = Caller.of(call.principal)
        if self.enforces and not self._trusted(caller, bucket):
            self._check(_Matter(call, caller, need, bucket, self._index.bucket(bucket), key, version, given or {}))

    def still(self, call: Call, stored: Stored) -> None:
        """Of an object that is read, within a moment of the index, after ``admit`` or ``check`` for it: if that was
        another, the answer is this one's. Raises AccessDenied."""
        for matter, number in call.admitted:
            of_this = (matter.bucket, matter.key) == (stored.bucket, stored.key)
            if of_this and number != stored.id:
                now = replace(matter, held=self._index.bucket(matter.bucket))
                if not self._allowed(now, stored):
                    raise denied()

    def _trusted(self, caller: Caller, bucket: str) -> bool:
        return not caller.limited and caller.account == self._account and bucket not in self._index.guarded

    def _check(self, matter: _Matter) -> None:
        stored = self._stored(matter)
        if not self._allowed(matter, stored) or self._owes(matter):
            raise denied()
        reads = matter.need.of == "object" and matter.action.startswith("s3:Get")
        if reads and stored is None and not self._lists(matter):
            raise denied()  # who may not list is not told what is not there

    def _owes(self, matter: _Matter) -> bool:
        """Whether the bucket's requesters pay, and this one is of another account and did not say that they would."""
        caller, request = matter.caller, matter.call.request
        if matter.held.payer is None or caller.account == (matter.held.owner or self._account):
            return False
        return not caller.account or request.headers.get(PAYER) != "requester"

    def _stored(self, matter: _Matter) -> Stored | None:
        """The object as it is, where that may matter."""
        if matter.key is None or not (matter.need.keepers or _asks_for_tags(matter)):
            return None
        try:
            found = self._index.get(matter.bucket, matter.key, matter.version)
        except ServiceError:  # what is not there has neither tags nor a list
            found = None
        matter.call.admitted.append((matter, None if found is None else found.id))
        return found

    def _lists(self, matter: _Matter) -> bool:
        listing = _Matter(
            matter.call, matter.caller, LIST_BUCKET, matter.bucket, matter.held, None, None, {"Prefix": matter.key}
        )
        return self._allowed(listing, None)

    def _allowed(self, matter: _Matter, stored: Stored | None) -> bool:
        held, caller = matter.held, matter.caller
        owner = held.owner or self._account
        verdict = self._verdict(matter, stored)
        if verdict == "deny":
            return caller.root and caller.account == owner and matter.action in _OWN_POLICY
        keeper = self.owner_of(held, stored)
        of_another = keeper != owner and matter.need.keepers
        if not caller.limited and caller.account == (keeper if of_another else owner):
            return True
        if verdict == "allow" and not of_another and not self._restricted(held, caller, owner):
            return True
        return held.lists_apply and self._granted(matter, stored)

    def owner_of(self, held: Bucket, stored: Stored | None) -> str:
        """The account that an object is of."""
        owner = held.owner or self._account
        if stored is None or stored.facts.acl is None or not held.lists_apply:
            return owner
        return stored.facts.acl.owner

    def _verdict(self, matter: _Matter, stored: Stored | None) -> Verdict:
        if matter.held.policy is None:
            return None
        policy = _parsed(matter.held.policy)
        tags = () if stored is None else stored.tags
        caller = matter.caller
        asked = Asked(caller.arn, caller.account, caller.canonical, matter.action, matter.resource)
        return policy.decide(asked, keys_of(matter.call, caller, matter.given, tags))

    def _restricted(self, held: Bucket, caller: Caller, owner: str) -> bool:
        """Whether a public policy grants this caller nothing."""
        block = Block.load(held.public_block)
        return block.restricts_buckets and caller.account != owner and self.public(held)

    def public(self, held: Bucket) -> bool:
        return held.policy is not None and _parsed(held.policy).public

    def _granted(self, matter: _Matter, stored: Stored | None) -> bool:
        need, held = matter.need, matter.held
        if not need.acl:
            return False
        of_bucket = need.of == "bucket" or need.acl.startswith("bucket:")
        found = self.list_of(held, None if of_bucket else stored)
        if not of_bucket and stored is None:
            return need is READ_OBJECT and self._lists(matter)  # which tells them that it is not there
        groups = not Block.load(held.public_block).ignores_lists
        return found.allows(need.acl.removeprefix("bucket:"), matter.caller.account, groups=groups)

    def list_of(self, held: Bucket, stored: Stored | None) -> Acl:
        """The access control list of the bucket, or of the object."""
        owner = held.owner or self._account
        kept = (held.acl and Acl.read(held.acl)) if stored is None else stored.facts.acl
        return kept if kept and held.lists_apply else lists.private(owner)


def _asks_for_tags(matter: _Matter) -> bool:
    policy = matter.held.policy if matter.need.of == "object" else None
    return policy is not None and any(key.startswith(EXISTING) for key in _parsed(policy).keys)


def denied() -> ServiceError:
    return error("AccessDenied", "Access Denied")
