"""The Snowball API (botocore's "snowball", 2016-06-30): addresses, jobs, and what opens a box.

There are no clusters, no carriers and no prices here: nobody can make a cluster, so none is found; shipping labels,
pickup locations, software updates and long-term pricing are refused. Which state arises when: ``states``.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from littoral.aws.service import Call, Output, operation
from littoral.box.manifest import JobType
from littoral.box.region.book import Book
from littoral.box.region.errors import not_found, wrong_combination, wrong_state, wrong_token
from littoral.box.region.job import KEEPS_CODE, LOGS, Job
from littoral.box.region.states import CANCELLED, COMPLETE, ENDED, NEW, ON_ITS_WAY, RETURNING, WITH_CUSTOMER
from littoral.box.region.wanted import HasBucket, check_address, check_device, check_resources

PAGE: Final = 100
T = TypeVar("T")
Link = Callable[[Call, str], str]  # to what lies at BUCKET/KEY, for an hour
NOTES: Final = "sizes and devices are labels; nothing is assumed for RoleARN; Resources: S3Resources only"


class SnowballApi:
    """https://docs.aws.amazon.com/snowball/latest/api-reference/"""

    def __init__(self, book: Book, has_bucket: HasBucket, link: Link, manifest_link: Link) -> None:
        """``link`` makes URLs of job logs, ``manifest_link`` of a job's manifest."""
        self._book = book
        self._has_bucket = has_bucket
        self._link = link
        self._manifest_link = manifest_link

    # ----------------------------------------------------------------------------------------------- addresses

    @operation(notes="kept as it is: nobody ships by it")
    async def create_address(self, call: Call, *, address: dict[str, Any]) -> Output:
        check_address(address)
        return {"AddressId": await self._book.add_address({**address, "IsRestricted": False})}

    @operation()
    async def describe_address(self, call: Call, *, address_id: str) -> Output:
        return {"Address": self._book.address(address_id)}

    @operation()
    async def describe_addresses(
        self, call: Call, *, max_results: int | None = None, next_token: str | None = None
    ) -> Output:
        found = sorted(self._book.addresses.values(), key=lambda one: str(one["AddressId"]))
        shown, more = _page(found, lambda one: str(one["AddressId"]), next_token, max_results)
        return {"Addresses": shown, **more}

    # ----------------------------------------------------------------------------------------------- jobs

    @operation(notes=NOTES)
    async def create_job(
        self,
        call: Call,
        *,
        job_type: JobType | None = None,
        resources: dict[str, Any] | None = None,
        description: str = "",
        address_id: str | None = None,
        kms_key_arn: str | None = None,
        role_arn: str = "",
        snowball_capacity_preference: str = "NoPreference",
        shipping_option: str = "STANDARD",
        cluster_id: str | None = None,
        snowball_type: str = "EDGE",
    ) -> Output:
        if cluster_id is not None:
            raise not_found("CLUSTER", cluster_id)
        if kms_key_arn is not None:
            self._book.check_key(kms_key_arn)
        if job_type is None or address_id is None:
            raise wrong_combination("JobType and AddressId are needed where no ClusterId is given.")
        self._book.address(address_id)
        check_device(snowball_type)
        check_resources(job_type, resources or {}, self._has_bucket)
        job = Job(
            f"JID{uuid.uuid4()}",
            job_type,
            call.now,
            address_id,
            description=description,
            role=role_arn,
            capacity=snowball_capacity_preference,
            device=snowball_type,
            shipping=shipping_option,
            resources=resources or {},
            kms_key=kms_key_arn or "",
        )
        await self._book.add(job)
        return {"JobId": job.id}

    @operation(notes=NOTES)
    async def update_job(
        self,
        call: Call,
        *,
        job_id: str,
        role_arn: str | None = None,
        resources: dict[str, Any] | None = None,
        address_id: str | None = None,
        shipping_option: str | None = None,
        description: str | None = None,
        snowball_capacity_preference: str | None = None,
    ) -> Output:
        job = self._book.job(job_id)
        if address_id is not None:
            self._book.address(address_id)
        if resources is not None:
            check_resources(job.kind, resources, self._has_bucket)
        asked = {
            "role": role_arn,
            "resources": resources,
            "address": address_id,
            "shipping": shipping_option,
            "description": description,
            "capacity": snowball_capacity_preference,
        }
        changes = {member: value for member, value in asked.items() if value is not None}
        await self._book.change(job_id, within=frozenset((NEW,)), **changes)
        return {}

    @operation()
    async def cancel_job(self, call: Call, *, job_id: str) -> Output:
        await self._book.change(job_id, within=frozenset((NEW,)), state=CANCELLED)
        return {}

    @operation()
    async def list_jobs(self, call: Call, *, max_results: int | None = None, next_token: str | None = None) -> Output:
        """In the order of their creation."""
        found = sorted(self._book.jobs.values(), key=_place)
        shown, more = _page(found, _place, next_token, max_results)
        return {"JobListEntries": [job.entry() for job in shown], **more}

    @operation(notes="SubJobMetadata: none, an export is one box; the report is text, not PDF")
    async def describe_job(self, call: Call, *, job_id: str) -> Output:
        job = self._book.job(job_id)
        told = job.metadata()
        logs = {member: self._link(call, job.logs[log]) for member, log in LOGS.items() if log in job.logs}
        if logs:
            told["JobLogInfo"] = logs
        return {"JobMetadata": told}

    @operation()
    async def update_job_shipment_state(self, call: Call, *, job_id: str, shipment_state: str) -> Output:
        """RECEIVED: the box is with the customer. RETURNED: it is on its way back; what brings nothing is over."""
        back = RETURNING if self._book.job(job_id).kind == "IMPORT" else COMPLETE
        before, after = (ON_ITS_WAY, WITH_CUSTOMER) if shipment_state == "RECEIVED" else (WITH_CUSTOMER, back)
        await self._book.change(job_id, within=frozenset((before,)), state=after)
        return {}

    # ----------------------------------------------------------------------------------------------- what opens a box

    @operation()
    async def get_job_manifest(self, call: Call, *, job_id: str) -> Output:
        await self._secret(call, job_id)
        return {"ManifestURI": self._manifest_link(call, job_id)}

    @operation()
    async def get_job_unlock_code(self, call: Call, *, job_id: str) -> Output:
        return {"UnlockCode": (await self._secret(call, job_id))["code"]}

    async def _secret(self, call: Call, job_id: str) -> dict[str, str]:
        """Raises InvalidResourceException, InvalidJobStateException, KMSRequestFailedException."""
        job = self._book.job(job_id)
        if job.state != WITH_CUSTOMER:
            raise wrong_state(f"Manifest and unlock code are given while a job is {WITH_CUSTOMER}; it is {job.state}.")
        secret = await self._book.secret(job_id)
        if secret is None or call.now > job.created + KEEPS_CODE:
            raise wrong_state("The manifest and the unlock code of this job have expired.")
        return secret

    @operation(notes="SnowballLimit: there is none")
    async def get_snowball_usage(self, call: Call) -> Output:
        """Boxes in use: of jobs for which one was prepared, until they end."""
        return {"SnowballsInUse": sum(job.state not in ENDED | {NEW} for job in self._book.jobs.values())}

    # ----------------------------------------------------------------------------------------------- clusters

    @operation(notes="there is none")
    async def describe_cluster(self, call: Call, *, cluster_id: str) -> Output:
        raise not_found("CLUSTER", cluster_id)

    @operation(notes="there is none")
    async def list_cluster_jobs(
        self, call: Call, *, cluster_id: str, max_results: int | None = None, next_token: str | None = None
    ) -> Output:
        raise not_found("CLUSTER", cluster_id)

    @operation(notes="there is none")
    async def cancel_cluster(self, call: Call, *, cluster_id: str) -> Output:
        raise not_found("CLUSTER", cluster_id)

    @operation(harmless={"MaxResults"}, notes="there is none")
    async def list_clusters(self, call: Call, *, next_token: str | None = None) -> Output:
        _page([], str, next_token, None)
        return {"ClusterListEntries": []}


def _place(job: Job) -> str:
    """Sorts by the time of creation."""
    return f"{job.created:020.6f} {job.id}"


def _page(
    found: Sequence[T], key: Callable[[T], str], token: str | None, most: int | None
) -> tuple[list[T], dict[str, str]]:
    """What comes after the token in the order of ``key``; NextToken where there is more."""
    try:
        after = base64.b64decode(token.encode(), b"-_", validate=True).decode() if token else ""
    except (binascii.Error, ValueError):
        raise wrong_token() from None
    rest = [one for one in found if key(one) > after]
    shown = rest[: most or PAGE]
    if len(shown) == len(rest):
        return shown, {}
    return shown, {"NextToken": base64.urlsafe_b64encode(key(shown[-1]).encode()).decode()}
