"""Who pays for requests: kept and enforced as far as there is something to enforce, for nothing is charged here.

Of a bucket whose requesters pay, nobody of another account gets anything before they have said that they would
("Using Requester Pays buckets for storage transfers and usage").
"""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.objects.api.parts import Operations
from littoral.objects.errors import malformed


class PaymentOperations(Operations):
    @operation(
        harmless={"ContentMD5", "ChecksumAlgorithm"},
        notes="Requester: other accounts must send x-amz-request-payer; nothing is charged",
    )
    async def put_bucket_request_payment(
        self,
        call: Call,
        *,
        bucket: str,
        request_payment_configuration: dict[str, Any],
        expected_bucket_owner: str | None = None,
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        payer = request_payment_configuration.get("Payer")
        if payer not in ("Requester", "BucketOwner"):
            raise malformed()
        await self._index.set_bucket(bucket, "payer", "Requester" if payer == "Requester" else None)
        return {}

    @operation()
    async def get_bucket_request_payment(
        self, call: Call, *, bucket: str, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        return {"Payer": self._index.bucket(bucket).payer or "BucketOwner"}
