"""The registry's store: groups, versions and their bytes. Every change is durable when its call returns.

The bytes are kept once for each digest, apart from where they came from: what happens to an object afterwards does not
change a version. They are durable before a document names them, and go when none does any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from littoral.models.registry.container import model_in
from littoral.models.registry.onnxfile import inspect
from littoral.models.registry.refusal import BadModel, BadName, NoSuch, Untrue
from littoral.models.registry.signing import Signer, check
from littoral.models.registry.version import (
    APPROVED,
    NAME,
    PENDING,
    STAGES,
    Lineage,
    Version,
    checked,
    metric_properties,
)
from littoral.store.contract import Blobs, Records
from littoral.store.documents import Documents

PAGE: Final = 1000


@dataclass(slots=True)
class Group:
    name: str
    created: float
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    last: int = 0  # the highest number that a version had; none is given twice

    @property
    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "created": self.created,
            "description": self.description,
            "tags": self.tags,
            "last": self.last,
        }


class Registry:
    """Made by ``open``. Reading is from memory; ``data`` reads the disk."""

    def __init__(self, records: Records, blobs: Blobs, signer: Signer) -> None:
        self._groups_kept = Documents(records, "group/")
        self._versions_kept = Documents(records, "version/")
        self._blobs = blobs
        self._signer = signer
        self._groups: dict[str, Group] = {}
        self._versions: dict[str, dict[int, Version]] = {}
        self._lock = asyncio.Lock()
        self.held: list[Callable[[str], bool]] = []  # asked whether they still need the bytes of a digest
        # asked before a version is approved, with digest and size; raises BadModel
        self.tried: Callable[[str, int], Awaitable[None]] | None = None

    @classmethod
    async def open(cls, records: Records, blobs: Blobs, signer: Signer) -> Self:
        """Raises StoreError."""
        made = cls(records, blobs, signer)
        async for _, document in _all(made._groups_kept):
            group = Group(**document)
            made._groups[group.name] = group
            made._versions[group.name] = {}
        async for _, document in _all(made._versions_kept):
            version = Version.of(document)
            made._versions[version.name][version.number] = version
        return made

    @property
    def key(self) -> str:
        """The public key, in base64, that its versions are signed by."""
        return self._signer.public

    # ------------------------------------------------------------------------------------------------ groups

    async def create_group(self, name: str, description: str = "", tags: Mapping[str, str] | None = None) -> Group:
        """Raises BadName where it is there already."""
        if not NAME.fullmatch(name):
            raise BadName(f"{name!r}: a model's name is 1 to 63 letters, digits and hyphens")
        async with self._lock:
            if name in self._groups:
                raise BadName(f"there is a model {name} already")
            return await self._save_group(Group(name, time.time(), description, dict(tags or {})))

    async def _save_group(self, group: Group) -> Group:
        await self._groups_kept.put(group.name, group.document)
        self._groups[group.name] = group
        self._versions.setdefault(group.name, {})
        return group

    async def delete_group(self, name: str) -> None:
        """Raises NoSuch; BadName where there are versions."""
        async with self._lock:
            if self.group(name) and self._versions[name]:
                raise BadName(f"the model {name} has versions: delete them first")
            await self._groups_kept.delete(name)
            del self._groups[name], self._versions[name]

    def group(self, name: str) -> Group:
        """Raises NoSuch."""
        try:
            return self._groups[name]
        except KeyError:
            raise NoSuch(f"there is no model {name}") from None

    def groups(self) -> list[Group]:
        return [each for _, each in sorted(self._groups.items())]

    # ------------------------------------------------------------------------------------------------ versions

    async def register(
        self,
        name: str,
        data: bytes,
        *,
        lineage: Lineage | None = None,
        metrics: Mapping[str, float] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str = "",
        stage: str = PENDING,
        said: Mapping[str, Any] | None = None,
        token: str = "",
    ) -> Version:
        """The next version of a model, which is made where it is the first: durable, signed, of this ``stage``.

        ``data`` is an ONNX file or a ``model.tar.gz`` with one. The same ``token`` gives the version that it made
        before. Raises BadModel, BadName.
        """
        about = checked({**(properties or {}), **(lineage or Lineage()).properties, **metric_properties(metrics or {})})
        if stage not in STAGES:
            raise BadName(f"{stage!r}: a stage is one of {', '.join(STAGES)}")
        if not NAME.fullmatch(name):
            raise BadName(f"{name!r}: a model's name is 1 to 63 letters, digits and hyphens")
        model, known, sha256 = await asyncio.to_thread(_read, data)
        if stage == APPROVED:
            await self._try_new(model, sha256)
        async with self._lock:
            group = self._groups.get(name) or Group(name, time.time())
            before = next(
                (each for each in self._versions.get(name, {}).values() if token and each.token == token), None
            )
            if before is not None:
                return before
            if await self._blobs.info(sha256) is None:
                await self._blobs.put(sha256, model)
            now, number = time.time(), group.last + 1
            made = Version(
                name,
                number,
                now,
                sha256,
                len(model),
                "",
                self.key,
                known.inputs,
                known.outputs,
                stage,
                description,
                about,
                dict(said or {}),
                now,
                "",
                token,
            )
            made.signature = self._signer.sign(made.statement)
            await self._save_group(replace(group, last=number))  # first: a number that was given is never given again
            await self._save(made)
        return made

    async def _try_new(self, model: bytes, sha256: str) -> None:
        """Without holding the lock: it may take long. What failed leaves nothing. Raises BadModel."""
        if self.tried is None:
            return
        if await self._blobs.info(sha256) is None:
            await self._blobs.put(sha256, model)
        try:
            await self.tried(sha256, len(model))
        except BadModel:
            async with self._lock:
                await self.forget(sha256)
            raise

    async def _save(self, version: Version) -> None:
        await self._versions_kept.put(_key(version.name, version.number), version.document)
        self._versions[version.name][version.number] = version

    def versions(self, name: str) -> list[Version]:
        """The oldest first. Raises NoSuch."""
        self.group(name)
        return [each for _, each in sorted(self._versions[name].items())]

    def version(self, name: str, number: int | None = None) -> Version:
        """Without a number the newest that is approved. Raises NoSuch."""
        known = self.versions(name)
        if number is None:
            approved = [each for each in known if each.stage == APPROVED]
            if not approved:
                raise NoSuch(f"no version of the model {name} is approved")
            return approved[-1]
        found = self._versions[name].get(number)
        if found is None:
            raise NoSuch(f"there is no version {number} of the model {name}")
        return found

    async def data(self, version: Version) -> bytes:
        """Its ONNX file. Raises Untrue where it is not what was signed, StoreError."""
        check(version.statement, version.signature, self.key)
        return await self.bytes_of(version.sha256)

    async def stream(self, sha256: str) -> AsyncIterator[bytes] | None:
        """The file of that digest as it lies there; None where there is none. Whoever gets it checks it."""
        return self._blobs.stream(sha256) if await self._blobs.info(sha256) is not None else None

    async def bytes_of(self, sha256: str) -> bytes:
        """Raises Untrue where they are others, StoreError."""
        data = await self._blobs.get(sha256)
        if await asyncio.to_thread(_sha256, data) != sha256:
            raise Untrue(f"the file {sha256} is not what was registered")
        return data

    async def change(
        self,
        name: str,
        number: int,
        *,
        stage: str | None = None,
        approval: str | None = None,
        properties: Mapping[str, str] | None = None,
        without: tuple[str, ...] = (),
        said: Mapping[str, Any] | None = None,
    ) -> Version:
        """Another stage; properties more, others and less. Raises NoSuch, BadName; BadModel for one that is not to be
        approved."""
        known = self.version(name, number)
        if stage == APPROVED != known.stage and self.tried is not None:
            await self.tried(known.sha256, known.size)
        async with self._lock:
            version = self.version(name, number)
            if stage is not None and stage not in STAGES:
                raise BadName(f"{stage!r}: a stage is one of {', '.join(STAGES)}")
            kept = {key: value for key, value in version.properties.items() if key not in without}
            changed = replace(
                version,
                stage=stage or version.stage,
                approval=version.approval if approval is None else approval,
                properties=checked({**kept, **(properties or {})}),
                said={**version.said, **(said or {})},
                changed=time.time(),
            )
            await self._save(changed)
        return changed

    async def delete(self, name: str, number: int) -> None:
        """Raises NoSuch."""
        async with self._lock:
            version = self.version(name, number)
            await self._versions_kept.delete(_key(name, number))
            del self._versions[name][number]
            await self.forget(version.sha256)

    # ------------------------------------------------------------------------------------------------ bytes

    async def keep(self, data: bytes) -> tuple[str, int]:
        """The model in these bytes, for who has them without a version; digest and size. Raises BadModel."""
        model, _, sha256 = await asyncio.to_thread(_read, data)
        async with self._lock:
            if await self._blobs.info(sha256) is None:
                await self._blobs.put(sha256, model)
        return sha256, len(model)

    async def forget(self, sha256: str) -> None:
        """The bytes of that digest, where nobody needs them any more."""
        named = any(each.sha256 == sha256 for known in self._versions.values() for each in known.values())
        if not named and not any(holds(sha256) for holds in self.held):
            await self._blobs.delete(sha256)


def _read(data: bytes) -> Any:
    model = model_in(data)
    return model, inspect(model), _sha256(model)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _key(name: str, number: int) -> str:
    return f"{name}/{number:09d}"


async def _all(documents: Documents) -> Any:
    after = ""
    while page := await documents.scan(after=after, limit=PAGE):
        for each in page:
            yield each
        after = page[-1][0]
