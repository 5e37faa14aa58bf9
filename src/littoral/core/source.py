"""Fetching what a deployment needs from the place above: recipes and artifacts, by the Greengrass data plane.

Paths and members are botocore's rest-json model of ResolveComponentCandidates and GetComponentVersionArtifact; the
client certificate is the credential. Told apart: the place above cannot be reached or is not well (``Unreachable``:
try again later) and it refuses (``Declined``: the deployment has failed).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import os
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from littoral.core import upward
from littoral.core.answers import message_of
from littoral.core.deploymenterrors import MISMATCH, NO_VERSION, NOT_FOUND, answered
from littoral.core.dialing import Endpoint
from littoral.core.filling import fill
from littoral.core.recipe import ARTIFACT
from littoral.core.resolving import Chosen, Requirements, said, suits
from littoral.core.upward import Upward
from littoral.net.client import ClientResponse, HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers
from littoral.protocols.blocks import Manifest
from littoral.store.contract import StorageFailed

log = logging.getLogger(__name__)

BLOCKS = "/_littoral/artifact-blocks"
MAX_ANSWER = 8 * 1024**2
MAX_ARTIFACT = 512 * 1024**2  # bytes of a function's zip
MOST_DOWNLOADED = 2 * 1024**3  # bytes of a recipe's artifact; AWS's own quota
TRY_AGAIN = (408, 429)


class Unreachable(Exception):
    """No answer, or one of trouble above."""


class Declined(Exception):
    """The place above says no, or gave what is not as it should be. ``codes`` as a BadComponent has them."""

    def __init__(self, reason: str, *codes: str) -> None:
        super().__init__(reason)
        self.codes = codes


class Downloads(Protocol):
    """Where artifacts come from."""

    async def download(
        self, arn: str, name: str, sha256: str, into: Path, like: Sequence[Path] = (), *, own: bool = False
    ) -> None:
        """``own``: the place above keeps it itself, and not in a bucket of somebody's."""


class Source:
    """``objects`` asks S3 for the artifacts of programs, in the core's own name, as AWS's nucleus does, but for those
    that Greengrass keeps; None: the place above gives addresses of all, as it does of functions' archives."""

    def __init__(
        self,
        endpoint: Endpoint,
        tls: ssl.SSLContext | None,
        client: HttpClient | None = None,
        objects: Upward | None = None,
    ) -> None:
        self._base, self._server_name = endpoint
        self._tls = tls
        self._client = client or HttpClient()
        self._objects = objects

    async def close(self) -> None:
        await self._client.close()

    async def recipes(self, wanted: Mapping[str, Requirements], platform: Mapping[str, str]) -> dict[str, Chosen]:
        """Of each component the version that suits all that is required. Raises Unreachable, Declined."""
        candidates = [{"componentName": name, "versionRequirements": asked} for name, asked in wanted.items()]
        asked = {"componentCandidates": candidates, "platform": {"name": platform["os"], "attributes": platform}}
        try:
            answer = await self._json("POST", "/greengrass/v2/resolveComponentCandidates", json.dumps(asked).encode())
        except Declined as refused:
            raise Declined(str(refused), *(NO_VERSION if NOT_FOUND in refused.codes else refused.codes)) from refused
        try:
            found = {
                each["componentName"]: Chosen(
                    str(each["componentVersion"]), json.loads(base64.b64decode(each["recipe"])), str(each["arn"])
                )
                for each in answer["resolvedComponentVersions"]
            }
        except (KeyError, TypeError, ValueError) as problem:
            raise Declined(f"the recipes from above cannot be read: {problem!r}") from problem
        for name, requirements in wanted.items():
            if name not in found or not suits(found[name].version, requirements):
                why = f"the place above has no version of {name} that is {said(requirements)}"
                raise Declined(why, *NO_VERSION)
        return {name: found[name] for name in wanted}

    async def groups(self, thing: str) -> list[str]:
        """The thing groups that the core is in, those above them included. Raises Unreachable, Declined."""
        answer = await self._json("GET", f"/greengrass/v2/coreDevices/{quote(thing, safe='')}/thingGroups")
        try:
            found = [[each, *(each.get("rootToParentThingGroups") or ())] for each in answer["thingGroups"]]
            return [str(group["thingGroupName"]) for each in found for group in each]
        except (KeyError, TypeError, AttributeError) as problem:
            raise Declined(f"the groups from above cannot be read: {problem!r}") from problem

    async def artifact(self, arn: str, sha256: str, name: str = ARTIFACT) -> bytes:
        """A zip of a component version, of that SHA-256 (base64). Raises Unreachable, Declined."""
        data = await self._get("GET", await self._location(arn, name), None, MAX_ARTIFACT)
        if base64.b64encode(hashlib.sha256(data).digest()).decode() != sha256:
            raise Declined(f"the artifact of {arn} is not what its recipe says: its SHA-256 differs", MISMATCH)
        return data

    async def download(
        self, arn: str, name: str, sha256: str, into: Path, like: Sequence[Path] = (), *, own: bool = False
    ) -> None:
        """An artifact of that SHA-256 (hexadecimal) into a file, which may hold its beginning already; whole, verified
        and durable on return. Blocks that files in ``like`` have are taken from there. A download that breaks off
        leaves what came. Raises Unreachable, Declined, StorageFailed."""
        if like and (manifest := await self._manifest(arn, name)) is not None:
            await fill(into, manifest, like, partial(self._range, arn, name))
        for start in (into.stat().st_size if into.exists() else 0, 0):
            if await self._downloaded(arn, name, sha256, into, start, own):
                return
            into.unlink(missing_ok=True)
            if not start:
                break
        raise Declined(f"the artifact {name} of {arn} is not what its recipe says: its SHA-256 differs", MISMATCH)

    async def _downloaded(self, arn: str, name: str, sha256: str, into: Path, start: int, own: bool) -> bool:
        """Whether the file is that now."""
        digest = await asyncio.to_thread(_digest, into) if start else hashlib.sha256()
        if start and digest.hexdigest() == sha256:
            return True
        wanted = Headers.of([("range", f"bytes={start}-")] if start else [])
        address = await (self._location(arn, name) if own else self._object(arn, name, wanted))
        async with self._opened("GET", address, wanted, None) as response:
            if response.status == 416 or (start and response.status != 206):
                return False  # from the beginning
            await self._well(response)
            try:
                with into.open("ab" if start else "wb") as file:
                    async for chunk in response.body:
                        digest.update(chunk)
                        file.write(chunk)
                        if file.tell() > MOST_DOWNLOADED:
                            raise Declined(f"the artifact {name} of {arn} has more than {MOST_DOWNLOADED} bytes")
                    file.flush()
                    await asyncio.to_thread(os.fsync, file.fileno())
            except OSError as problem:
                raise StorageFailed(f"{into}: {problem}") from problem
        return digest.hexdigest() == sha256

    async def _manifest(self, arn: str, name: str) -> Manifest | None:
        """None where the place above does not say: AWS's does not. Raises Unreachable."""
        if self._objects is not None:
            return None
        path = f"{BLOCKS}?arn={quote(arn, safe='')}&artifact={quote(name, safe='')}"
        try:
            return Manifest.of(await self._json("GET", path))
        except (Declined, ValueError) as problem:
            log.info("%s of %s comes whole: %s", name, arn, problem)
            return None

    async def _range(self, arn: str, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Nothing where what lies above is shorter. Raises Unreachable, Declined."""
        wanted = Headers.of([("range", f"bytes={start}-{start + length - 1}")])
        async with self._opened("GET", await self._object(arn, name, wanted), wanted, None) as response:
            if response.status == 206:
                async for chunk in response.body:
                    yield chunk
            elif response.status != 416:
                await self._well(response)

    async def _object(self, arn: str, name: str, headers: Headers) -> str:
        """The address of ``bucket/key``; ``headers`` are what it is to be asked with."""
        if self._objects is None:
            return await self._location(arn, name)
        path = f"/{quote(name)}"
        try:
            return (await self._objects.signed("s3", "GET", path, headers, b"")).url + path
        except upward.Unreachable as problem:
            raise Unreachable(str(problem)) from problem

    async def _location(self, arn: str, name: str) -> str:
        path = f"/greengrass/v2/components/{quote(arn, safe='')}/artifacts/{quote(name)}"
        location = (await self._json("GET", path)).get("preSignedUrl")
        if not isinstance(location, str):
            raise Declined("the place above gave no address of the artifact")
        return location

    async def _json(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        data = await self._get(method, self._base + path, body, MAX_ANSWER)
        try:
            answer = json.loads(data)
        except ValueError as problem:
            raise Declined(f"the answer to {path} is not JSON") from problem
        if not isinstance(answer, dict):
            raise Declined(f"the answer to {path} is not an object")
        return answer

    async def _get(self, method: str, url: str, body: bytes | None, limit: int) -> bytes:
        headers = Headers.of([("content-type", "application/json")] if body is not None else [])
        async with self._opened(method, url, headers, body) as response:
            await self._well(response)
            return await response.body.read(limit)

    @contextlib.asynccontextmanager
    async def _opened(
        self, method: str, url: str, headers: Headers, body: bytes | None
    ) -> AsyncIterator[ClientResponse]:
        """Raises Unreachable, Declined; for what happens to the body while it is read, too."""
        try:
            response = await self._client.request(
                method, url, headers=headers, body=body, tls=self._tls, server_name=self._server_name
            )
            async with response:
                yield response
        except (RequestFailed, BodyError, OSError) as problem:
            raise Unreachable(str(problem) or type(problem).__name__) from problem
        except ValueError as problem:
            raise Declined(f"not an address to fetch from: {problem}") from problem

    async def _well(self, response: ClientResponse) -> None:
        """Raises Unreachable, Declined."""
        if response.status >= 500 or response.status in TRY_AGAIN:
            raise Unreachable(f"the place above answered {response.status}")
        if response.status not in (200, 206):
            said = await response.body.read(MAX_ANSWER)
            raise Declined(message_of(said, response.status), *answered(response.status))


def _digest(file: Path) -> hashlib._Hash:
    """Of what is durably there."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(1024 * 1024):
            digest.update(chunk)
        os.fsync(opened.fileno())
    return digest
