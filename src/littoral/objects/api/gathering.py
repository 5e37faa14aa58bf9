"""Many small objects in one answer (``protocols.manyobjects``): Littoral's own, for who copies a bucket.

A small object costs what its request costs. Here one request asks for up to a thousand, and each is authorised, held
against its ETag, read and described by what does it for a GetObject: what comes is what that would have answered. One
that is refused, damaged or away is answered by its error; the others are there. What needs a customer's key is refused,
for the request carries none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Final

from littoral.aws.errors import error_response
from littoral.aws.output import response_of
from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.aws.wire.plan import plan_of
from littoral.net.message import FileSlice, Response, ResponseBody
from littoral.net.sending import Broken, read_slice
from littoral.objects.access.needs import READ_OBJECT
from littoral.objects.api.logging import LoggingOperations
from littoral.objects.api.reading import ReadOperations
from littoral.objects.errors import damaged, error
from littoral.protocols import manyobjects
from littoral.protocols.manyobjects import EACH, LARGEST, TYPE, Asked, Malformed, frame
from littoral.store.contract import StorageFailed, StoreError

log = logging.getLogger("littoral.objects")
TURN: Final = 16  # objects that are read at once, after which others have the loop


class GatherOperations(ReadOperations, LoggingOperations):
    @operation(notes="Littoral's own: up to 1,000 small objects in one answer, each as its GetObject would be")
    async def littoral_get_objects(
        self, call: Call, *, bucket: str, body: bytes | None = None, expected_bucket_owner: str | None = None
    ) -> Output:
        self._check_owner(bucket, expected_bucket_owner)
        self._index.bucket(bucket)
        try:
            wanted = manyobjects.asked(body or b"")
        except Malformed as problem:
            raise error("InvalidRequest", f"The request for many objects cannot be read: {problem}.") from problem
        frames: list[bytes] = []
        size = 0
        for start in range(0, len(wanted), TURN):
            turn = await self._turn(call, bucket, start, wanted[start : start + TURN])
            frames += turn
            size += sum(map(len, turn))
            if size >= LARGEST:
                break
            await asyncio.sleep(0)
        return {"ContentType": TYPE, "Body": b"".join(frames)}

    async def _turn(self, call: Call, bucket: str, start: int, wanted: Sequence[Asked]) -> list[bytes]:
        begun = [self._begun(call, bucket, number, one) for number, one in enumerate(wanted, start)]
        if all(isinstance(one, bytes) for one in begun):
            return begun  # type: ignore[return-value]
        return await asyncio.gather(*(_soon(one) for one in begun))

    def _begun(self, call: Call, bucket: str, number: int, one: Asked) -> bytes | Awaitable[bytes]:
        """Its frame, at once where its bytes lie in the index."""
        own = replace(call, operation="GetObject", admitted=[])
        try:
            self._gate.check(own, READ_OBJECT, bucket, one.key, given={"Bucket": bucket, "Key": one.key})
            found = self.get_object(own, bucket=bucket, key=one.key, if_match=one.etag, checksum_mode="ENABLED")
            if isinstance(found, dict):
                return self._given(own, bucket, number, one, found)
        except Exception as problem:  # noqa: BLE001 - of this one object: its frame has it
            return self._refused(own, bucket, number, one, problem)
        return self._awaited(own, bucket, number, one, found)

    async def _awaited(self, call: Call, bucket: str, number: int, one: Asked, found: Awaitable[Output]) -> bytes:
        try:
            output = await found
            output["Body"] = await _whole(output["Body"], output["ContentLength"])
            return self._given(call, bucket, number, one, output)
        except Exception as problem:  # noqa: BLE001 - as in ``_begun``
            return self._refused(call, bucket, number, one, problem)

    def _given(self, call: Call, bucket: str, number: int, one: Asked, output: Output) -> bytes:
        response = response_of("s3", plan_of("s3", "GetObject"), output, call.request_id)
        return self._framed(call, bucket, number, one, response, "")

    def _refused(self, call: Call, bucket: str, number: int, one: Asked, problem: Exception) -> bytes:
        if not isinstance(problem, ServiceError):
            log.error("s3:GetObject of %s failed, request %s", one.key, call.request_id, exc_info=problem)
            code = "ServiceUnavailable" if isinstance(problem, StorageFailed) else "InternalError"
            problem = error(code, "We encountered an internal error. Please try again.")
        response = error_response("s3", "GetObject", problem, call.request_id, f"/{bucket}/{one.key}")
        return self._framed(call, bucket, number, one, response, problem.code)

    def _framed(self, call: Call, bucket: str, number: int, one: Asked, response: Response, code: str) -> bytes:
        assert isinstance(response.body, bytes)
        made = frame(number, response.status, response.headers.raw, response.body)
        self.answered_within(call, bucket, one.key, response, code)
        return made


async def _soon(made: bytes | Awaitable[bytes]) -> bytes:
    return made if isinstance(made, bytes) else await made


async def _whole(body: ResponseBody, size: int) -> bytes:
    """Raises EntityTooLarge before any of it is read, InternalError where it is not what was written."""
    try:
        _check_size(size)
        if isinstance(body, bytes):
            return body
        if isinstance(body, FileSlice):
            return await asyncio.to_thread(read_slice, body)
        return b"".join([chunk async for chunk in body])
    except (OSError, Broken, StoreError) as problem:
        raise damaged() from problem
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()


def _check_size(size: int) -> None:
    if size > EACH:
        raise error("EntityTooLarge", f"More than {EACH} bytes come by a GetObject of their own.")
