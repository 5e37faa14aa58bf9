"""Access control lists of buckets and objects, as they are told and put."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.access import acl as lists
from littoral.objects.api.parts import Operations, origin_of
from littoral.objects.errors import both_stated, error, lists_are_off
from littoral.objects.facts import ENFORCED, Bucket
from littoral.objects.versions import check_version

DIGESTS = {"ContentMD5", "ChecksumAlgorithm"}


class AclOperations(Operations):
    @operation()
    async def get_bucket_acl(self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        return lists.shown(self._gate.list_of(self._index.bucket(bucket), None), self._displayed())

    @operation(harmless=DIGESTS)
    async def put_bucket_acl(
        self,
        call: Call,
        *,
        bucket: str,
        acl: str | None = None,
        access_control_policy: dict[str, Any] | None = None,
        grant_full_control: str | None = None,
        grant_read: str | None = None,
        grant_read_acp: str | None = None,
        grant_write: str | None = None,
        grant_write_acp: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        held = self._index.bucket(bucket)
        owner = held.owner or self._parts.account
        grants = granted(grant_full_control, grant_read, grant_read_acp, grant_write, grant_write_acp)
        made = self._put(held, owner, acl, grants, access_control_policy)

        def check(now: Bucket) -> None:
            if now.ownership == ENFORCED:
                raise lists_are_off()

        await self._index.set_bucket(bucket, "acl", None if made == lists.private(owner) else made.dump(), check=check)
        return {}

    @operation(harmless={"RequestPayer"})
    async def get_object_acl(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        version_id: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_version(version_id)
        self._check_owner(bucket, expected_bucket_owner)
        stored = self._readable(call, bucket, key, version_id)
        return lists.shown(self._gate.list_of(self._index.bucket(bucket), stored), self._displayed())

    @operation(harmless={*DIGESTS, "RequestPayer"})
    async def put_object_acl(
        self,
        call: Call,
        *,
        bucket: str,
        key: str,
        version_id: str | None = None,
        acl: str | None = None,
        access_control_policy: dict[str, Any] | None = None,
        grant_full_control: str | None = None,
        grant_read: str | None = None,
        grant_read_acp: str | None = None,
        grant_write: str | None = None,
        grant_write_acp: str | None = None,
        expected_bucket_owner: str | None = None,
    ) -> Output:
        check_version(version_id)
        self._check_owner(bucket, expected_bucket_owner)
        held, stored = self._index.bucket(bucket), self._readable(call, bucket, key, version_id)
        grants = granted(grant_full_control, grant_read, grant_read_acp, grant_write, grant_write_acp)
        made = self._put(held, self._gate.owner_of(held, stored), acl, grants, access_control_policy)
        await self._index.set_acl(stored, made, origin_of(call))
        return stored.version_member

    def _put(
        self, held: Bucket, owner: str, acl: str | None, grants: dict[str, str], document: dict[str, Any] | None
    ) -> lists.Acl:
        """Raises AccessControlListNotSupported, MalformedACLError, AccessDenied."""
        if not held.lists_apply:
            raise lists_are_off()
        if [acl is not None, bool(grants), document is not None].count(True) != 1:
            if acl is None and not grants:
                raise error("MissingSecurityHeader", "Your request was missing a required header")
            raise both_stated()
        if document is not None:
            made = lists.from_document(document, owner, self._displayed())
        elif grants:
            made = lists.from_headers(grants, owner, self._displayed())
        else:
            made = lists.canned(acl or "", owner, held.owner or self._parts.account)
        self._check_public(held, made)
        return made


def granted(
    full_control: str | None, read: str | None, read_acp: str | None, write: str | None, write_acp: str | None
) -> dict[str, str]:
    """The x-amz-grant-… headers that were sent, by permission."""
    sent = {
        "FULL_CONTROL": full_control,
        "READ": read,
        "READ_ACP": read_acp,
        "WRITE": write,
        "WRITE_ACP": write_acp,
    }
    return {permission: value for permission, value in sent.items() if value}
