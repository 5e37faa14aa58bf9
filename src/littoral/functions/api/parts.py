"""What every operation works with, and the few steps that several share."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from littoral.aws.service import ServiceError
from littoral.functions.catalog import Catalog
from littoral.functions.code import CodeStore, Stored
from littoral.functions.codeurl import HasCode
from littoral.functions.delivery import Deliveries
from littoral.functions.launcher import Launcher
from littoral.functions.layers import Layers
from littoral.functions.names import Home, Reference, invalid, is_alias, not_found
from littoral.functions.provisioning import Provisioner
from littoral.functions.readiness import Readiness
from littoral.functions.runner import Runner
from littoral.functions.runtimes import Runtimes
from littoral.functions.scheduler import Scheduler
from littoral.functions.settings import FunctionSettings
from littoral.functions.sources import Mappings
from littoral.functions.validation import no_images
from littoral.functions.version import Function, FunctionVersion, aws_time, configuration, new_revision

T = TypeVar("T")
PAGE = 50  # Lambda's lists give at most so many at a time


class CodeSource(Protocol):
    """Where code that is named by bucket and key comes from; the site hands in its objects."""

    async def fetch(self, bucket: str, key: str, version: str | None) -> bytes:
        """Raises ServiceError (NoSuchKey, NoSuchBucket)."""


@dataclass(slots=True)
class Parts:
    home: Home
    settings: FunctionSettings
    catalog: Catalog
    layers: Layers
    code: CodeStore
    runtimes: Runtimes
    launcher: Launcher
    scheduler: Scheduler
    runner: Runner
    deliveries: Deliveries
    mappings: Mappings
    provisioner: Provisioner
    readiness: Readiness
    sign_code_url: Callable[[HasCode, float], str]  # path and query under which the zip is handed out
    code_source: CodeSource | None = None
    replicated: Callable[[str], bool] = lambda _arn: False  # whether a function's ARN has replicas at the edge


class Operations:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def _home(self) -> Home:
        return self._parts.home

    @property
    def _catalog(self) -> Catalog:
        return self._parts.catalog

    def _unqualified(self, text: str) -> Reference:
        reference = self._home.parse(text)
        if reference.qualifier is not None:
            raise invalid(
                "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
                "operation. Please specify either a function name or an unqualified function ARN."
            )
        return reference

    def _named(self, reference: Reference) -> FunctionVersion:
        """The version that a reference leads to. Raises ResourceNotFoundException, of the alias where one is named."""
        try:
            return self._catalog.version(reference)
        except ServiceError:
            if reference.qualifier is not None and is_alias(reference.qualifier):
                arn = self._home.arn(reference.name, reference.qualifier)
                raise not_found(f"Cannot find alias arn: {arn}") from None
            raise

    async def _code_of(self, code: dict[str, Any], *, dry_run: bool = False) -> Stored:
        """The code that a request brings or points at, checked and, unless it is a dry run, kept."""
        if code.get("ImageUri"):
            raise no_images()
        for member in ("SourceKMSKeyArn", "S3ObjectStorageMode"):
            if code.get(member):
                raise invalid(f"{member} is not served by Littoral")
        archive = code.get("ZipFile")
        if archive is not None and code.get("S3Bucket"):
            raise invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
        if archive is None:
            archive = await self._fetch(code)
        self._check_storage(len(archive))
        return await (self._parts.code.check(archive) if dry_run else self._parts.code.add(archive))

    def _code_size(self) -> int:
        """Bytes of the zips of all versions of functions and layers."""
        functions = map(self._catalog.get, self._catalog.names())
        versions = (version for each in functions for version in (each.latest, *each.versions.values()))
        return self._parts.layers.code_size() + sum(version.code_size for version in versions)

    def _check_storage(self, more: int) -> None:
        if self._code_size() + more > self._parts.settings.code_storage:
            raise ServiceError(
                "CodeStorageExceededException", "Code storage limit exceeded.", status=400, fields={"Type": "User"}
            )

    async def _fetch(self, code: dict[str, Any]) -> bytes:
        if not code.get("S3Bucket") or not code.get("S3Key"):
            raise invalid("Please provide a source for function code.")
        if self._parts.code_source is None:
            raise invalid("This place has no S3 to read function code from; send it as ZipFile")
        try:
            return await self._parts.code_source.fetch(code["S3Bucket"], code["S3Key"], code.get("S3ObjectVersion"))
        except ServiceError as error:
            text = "Error occurred while GetObject. S3 Error Code: "
            raise invalid(f"{text}{error.code}. S3 Error Message: {error.message}") from error

    def _shown(self, version: FunctionVersion, *, qualified: bool = False) -> dict[str, Any]:
        """The version's configuration, with its state as it is now."""
        shown = configuration(version, self._home, qualified=qualified) | self._parts.readiness.shown(version)
        function = self._catalog.find(version.name)
        return shown | {"RevisionId": function.revision(version.version)} if function is not None else shown

    async def _replace_latest(self, function: Function, latest: FunctionVersion, now: str) -> Function:
        """Store a changed ``$LATEST``; instances of the old one take no further event."""
        latest = replace(latest, last_modified=now, revision_id=new_revision())
        revisions = {each: value for each, value in function.revisions.items() if each}
        changed = replace(function, latest=latest, revisions=revisions)
        await self._catalog.save(changed)
        self._retire(changed)
        await self._parts.readiness.follow(function.name, "update", self._parts.launcher.prepare(latest))
        return changed

    async def _publish(self, function: Function, now: float, description: str | None = None) -> FunctionVersion:
        """A new version, or the last one when nothing has changed since."""
        last = function.versions.get(max(function.versions, default=0))
        if last is not None and _same(last, function.latest):
            return last
        self._check_storage(function.latest.code_size)
        version = replace(
            function.latest,
            version=str(function.next_version),
            revision_id=new_revision(),
            last_modified=aws_time(now),
            description=function.latest.description if description is None else description,
            latest_description=function.latest.description,
        )
        await self._catalog.publish(replace(function, revisions=function.revised()), version)
        return version

    def _retire(self, function: Function) -> None:
        keep = {version.key for version in (function.latest, *function.versions.values())}
        self._parts.scheduler.retire(function.name, keep=keep)


def _same(last: FunctionVersion, latest: FunctionVersion) -> bool:
    """Whether nothing of ``$LATEST`` has changed since it was published."""

    def substance(version: FunctionVersion) -> FunctionVersion:
        blank: dict[str, Any] = dict.fromkeys(("version", "revision_id", "last_modified", "description"), "")
        return replace(version, latest_description=None, **blank)

    return substance(last) == substance(latest) and last.latest_description in (None, latest.description)


def check_revision(given: str | None, current: str, kind: str = "Function/GetAlias") -> None:
    if given is not None and given != current:
        raise ServiceError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. "
            f"Call the Get{kind} API to retrieve the latest Revision Id",
            status=412,
            fields={"Type": "User"},
        )


def page(items: Sequence[T], key: Callable[[T], str], marker: str | None, limit: int) -> tuple[list[T], str | None]:
    """Items after the marker, at most ``limit``, and the next marker. Items are in the order of their keys."""
    after = _unmark(marker) if marker else None
    rest = [item for item in items if after is None or key(item) > after]
    shown = rest[:limit]
    more = len(rest) > limit
    return shown, base64.urlsafe_b64encode(key(shown[-1]).encode()).decode() if more else None


def _unmark(marker: str) -> str:
    try:
        return base64.b64decode(marker.encode(), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid("Invalid Marker") from None


def with_marker(result: dict[str, Any], marker: str | None) -> dict[str, Any]:
    return {**result, "NextMarker": marker} if marker else result
