"""Functions at places without the API: edge locations and cores are given numbered versions that the region published.

Owns: how a version gets here and goes, under the ARN that it has where it was published, and what a region says of its
own versions to those that install them. Knows nothing of distributions or deployments.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from littoral.functions.api.parts import Parts
from littoral.functions.api.settings import log_style
from littoral.functions.names import LATEST, invalid, is_number
from littoral.functions.version import (
    Function,
    FunctionVersion,
    LayerUse,
    Placement,
    aws_time,
    configuration,
    new_revision,
)

NO_ROLE = "arn:aws:iam::000000000000:role/littoral"  # installed functions have no role of their own


class InstalledFunctions:
    """The part of ``Functions`` that edge locations and cores use."""

    def __init__(self, parts: Parts, clock: Callable[[], float]) -> None:
        self._parts = parts
        self._clock = clock

    async def install(
        self,
        name: str,
        version: str,
        config: Mapping[str, Any],
        archive: bytes,
        *,
        layers: Sequence[bytes] = (),
        placement: Placement | None = None,
    ) -> None:
        """Make ``name:version`` runnable here under the ARN it has where it was published.

        ``config`` is its FunctionConfiguration, ``layers`` the zips of its layers, the lowest first. The same code and
        configuration again changes nothing; a numbered version that is here with other code is replaced, for the place
        it comes from is right. Raises ServiceError.
        """
        if not is_number(version) or int(version) < 1:
            raise invalid(f"Only a numbered version can be installed, not {version[:50]}")
        if self._parts.home.parse(name).qualifier is not None:
            raise invalid("The name of an installed function has no qualifier")
        if len(config.get("Layers") or layers) != len(layers):
            raise invalid(
                f"{name}:{version} has layers, which are not carried to edge locations: put them into its zip"
            )
        await self._parts.runtimes.check(config["Runtime"], config["Handler"])
        async with self._parts.catalog.lock(name):
            wanted = self._wanted(name, version, config, placement or Placement())
            arns = [each["Arn"] for each in config.get("Layers") or ()] or [""] * len(layers)
            uses = [await _layer_use(arn, each) for arn, each in zip(arns, layers, strict=True)]
            wanted = replace(wanted, layers=tuple(uses))
            function = self._parts.catalog.find(name)
            present = function.versions.get(int(version)) if function is not None else None
            if present is not None and _as_wanted(present, wanted, archive):
                return
            stored = await self._parts.code.add(archive)
            for each in layers:
                await self._parts.code.add(each)
            wanted = replace(wanted, code_sha256=stored.sha256, code_size=stored.size)
            latest = replace(wanted, version=LATEST, revision_id=new_revision())
            if function is None:
                function = Function(name, str(uuid.uuid4()), latest)
                await self._parts.catalog.create(function)
            elif int(version) + 1 >= function.next_version:
                function = replace(function, latest=latest)
            function = await self._parts.catalog.publish(function, wanted)
            keep = {each.key for each in (function.latest, *function.versions.values())}
            self._parts.scheduler.retire(name, keep=keep)
            await self._parts.launcher.prepare(wanted)

    async def reconfigure(
        self, name: str, version: str, config: Mapping[str, Any], *, placement: Placement | None = None
    ) -> bool:
        """What is installed under that name and version, with this configuration; False where it is not here. Raises
        ServiceError."""
        found = self._numbered(name, version)
        if found is None:
            return False
        archives = [await self._parts.code.archive(key) for key in (found.code_key, *found.layer_keys)]
        known = [each for each in archives if each is not None]
        if len(known) < len(archives):
            return False
        archive, *layers = known
        await self.install(name, version, config, archive, layers=layers, placement=placement)
        return True

    def layers_of(self, function: str, base_url: str) -> list[tuple[str, str]]:
        """SHA-256 (base64) of each layer of a function's version, the lowest first, and where its zip can be fetched
        for a while. Raises ResourceNotFoundException."""
        version = self._parts.catalog.version(self._parts.home.parse(function))
        now = self._clock()
        return [(use.sha256, base_url + self._parts.sign_code_url(use, now)) for use in version.layers]

    def installed(self, name: str, version: str) -> str | None:
        """The CodeSha256 of what is here under that name and version."""
        found = self._numbered(name, version)
        return found.code_sha256 if found is not None else None

    def describe(self, name: str, version: str) -> dict[str, Any] | None:
        """The FunctionConfiguration of a numbered version; None where there is none."""
        found = self._numbered(name, version)
        return configuration(found, self._parts.home, qualified=True) if found is not None else None

    def concurrency(self, name: str, version: str) -> tuple[bool, bool]:
        """Whether the function has reserved concurrency, and whether the version has provisioned concurrency."""
        function = self._parts.catalog.find(name)
        if function is None:
            return False, False
        return function.reserved is not None, version in function.provisioned

    def _numbered(self, name: str, version: str) -> FunctionVersion | None:
        function = self._parts.catalog.find(name)
        return function.versions.get(int(version)) if function is not None and is_number(version) else None

    async def uninstall(self, name: str, version: str) -> bool:
        """Forget one installed version, and with its last one the function; False when it was not here."""
        async with self._parts.catalog.lock(name):
            function = self._parts.catalog.find(name)
            if function is None or self._numbered(name, version) is None:
                return False
            if len(function.versions) > 1:
                await self._parts.catalog.unpublish(function, int(version))
                left = self._parts.catalog.get(name)
                self._parts.scheduler.retire(name, keep={each.key for each in left.versions.values()})
                return True
        return await self.remove(name)

    async def remove(self, name: str) -> bool:
        """Forget a function and end its instances; False when it was not here."""
        async with self._parts.catalog.lock(name):
            if self._parts.catalog.find(name) is None:
                return False
            await self._parts.catalog.delete(name)
            self._parts.scheduler.retire(name, keep=set())
            self._parts.scheduler.slots.reserve(name, None)
            return True

    def _wanted(self, name: str, version: str, config: Mapping[str, Any], placement: Placement) -> FunctionVersion:
        return FunctionVersion(
            name=name,
            version=version,
            runtime=config["Runtime"],
            handler=config["Handler"],
            role=config.get("Role", NO_ROLE),
            code_sha256="",
            code_size=0,
            revision_id=config.get("RevisionId") or new_revision(),
            last_modified=config.get("LastModified") or aws_time(self._clock()),
            description=config.get("Description", ""),
            timeout=config.get("Timeout", 3),
            memory_size=config.get("MemorySize", 128),
            ephemeral_storage=(config.get("EphemeralStorage") or {}).get("Size", 512),
            environment=dict((config.get("Environment") or {}).get("Variables") or {}),
            architectures=tuple(config.get("Architectures") or ("x86_64",)),
            log_group=(config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}",
            placement=placement,
            log_style=log_style(config.get("LoggingConfig") or {}),
        )


def _as_wanted(present: FunctionVersion, wanted: FunctionVersion, archive: bytes) -> bool:
    if base64.b64encode(hashlib.sha256(archive).digest()).decode() != present.code_sha256:
        return False
    facts = {"code_sha256": "", "code_size": 0, "revision_id": "", "last_modified": ""}
    return replace(present, **facts) == replace(wanted, **facts)  # type: ignore[arg-type]


async def _layer_use(arn: str, archive: bytes) -> LayerUse:
    digest = base64.b64encode(await asyncio.to_thread(lambda: hashlib.sha256(archive).digest())).decode()
    return LayerUse(arn, digest, len(archive))
