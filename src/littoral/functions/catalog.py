"""The functions of this place: durable in Records, and in memory for every read.

Owns: names, versions, aliases, and everything set on them. Knows no process.

Documents::

    function/<name>              all of ``Function`` but its numbered versions: one put changes it at once
    version/<name>/<000000003>   one numbered version, written once

A version's document is written before its function's counter. A crash between the two leaves a version that nobody
was told of; it is dropped at the next start, as is one whose function is gone.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from littoral.functions.frames import event_about
from littoral.functions.names import LATEST, Home, Reference, is_number, not_found
from littoral.functions.version import (
    Function,
    FunctionVersion,
    function_document,
    function_from,
    version_document,
    version_from,
)
from littoral.store.contract import Records

MOST_CALLED = 4096  # ways to write a function that are remembered


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference leads to."""

    function: Function
    version: FunctionVersion
    arn: str  # the ARN that was invoked, with the qualifier that was given
    qualifier: str  # the qualifier that was given, "$LATEST" when none
    about: bytes = field(init=False, repr=False, compare=False)  # timeout and ARN, as an event's frame has them

    def __post_init__(self) -> None:
        object.__setattr__(self, "about", event_about(self.arn, float(self.version.timeout)))


class Catalog:
    def __init__(self, records: Records, home: Home, choose: Callable[[], float] = random.random) -> None:
        self._records = records
        self.home = home
        self._choose = choose  # 0 ≤ x < 1, for weighted aliases
        self._functions: dict[str, Function] = {}
        self._called: dict[str, Target] = {}  # what callers write, while it leads to one version
        self._resolved: dict[Reference, Target] = {}  # the same, read
        self._urls: dict[str, tuple[str, str]] = {}  # id of a URL → function, alias or ""
        self._locks: dict[str, asyncio.Lock] = {}

    async def load(self) -> None:
        for key, document in await self._documents("function/"):
            self._functions[key.removeprefix("function/")] = function_from(document)
        for key, document in await self._documents("version/"):
            uid = document.pop("uid")
            version = version_from(document)
            function = self._functions.get(version.name)
            if function is None or function.uid != uid or int(version.version) >= function.next_version:
                await self._records.delete(key)
            else:
                function.versions[int(version.version)] = version
        for function in self._functions.values():
            self._index_urls(function)

    def lock(self, name: str) -> asyncio.Lock:
        """Held while a function is read, changed and written."""
        return self._locks.setdefault(name, asyncio.Lock())

    def names(self) -> list[str]:
        return sorted(self._functions)

    def find(self, name: str) -> Function | None:
        return self._functions.get(name)

    def get(self, name: str) -> Function:
        """Raises ResourceNotFoundException."""
        function = self._functions.get(name)
        if function is None:
            raise not_found(f"Function not found: {self.home.arn(name)}")
        return function

    def version(self, reference: Reference) -> FunctionVersion:
        """The version that a qualifier names; an alias's main version. Raises ResourceNotFoundException."""
        function = self._functions.get(reference.name)
        if function is None:
            raise not_found(f"Function not found: {self.home.arn(reference.name, reference.qualifier)}")
        qualifier = reference.qualifier or LATEST
        if qualifier in function.aliases:
            qualifier = function.aliases[qualifier].version
        found = function.version(qualifier) if qualifier == LATEST or is_number(qualifier) else None
        if found is None:
            raise not_found(f"Function not found: {self.home.arn(reference.name, reference.qualifier)}")
        return found

    def resolve(self, reference: Reference) -> Target:
        """What an invocation of this reference runs; a weighted alias draws. Raises ResourceNotFoundException."""
        found = self._resolved.get(reference)
        if found is None:
            found = self._resolve(reference)
            alias = found.function.aliases.get(reference.qualifier or "")
            if alias is None or not alias.weights:
                if len(self._resolved) >= MOST_CALLED:
                    self._resolved.clear()
                self._resolved[reference] = found
        return found

    def _resolve(self, reference: Reference) -> Target:
        version = self.version(reference)
        function = self._functions[reference.name]
        alias = function.aliases.get(reference.qualifier or "")
        if alias is not None and alias.weights:
            drawn, share = self._choose(), 0.0
            for number, weight in alias.weights.items():
                share += weight
                if drawn < share:
                    version = function.version(number) or version
                    break
        arn = self.home.arn(reference.name, reference.qualifier)
        return Target(function, version, arn, reference.qualifier or LATEST)

    def called(self, text: str) -> Target:
        """``resolve`` of what a caller writes: the same few names again and again. Raises what parsing it does, too."""
        found = self._called.get(text)
        if found is None:
            reference = self.home.parse(text)
            found = self.resolve(reference)
            if reference in self._resolved:
                if len(self._called) >= MOST_CALLED:
                    self._called.clear()
                self._called[text] = found
        return found

    def url(self, url_id: str) -> tuple[Reference, dict[str, Any]] | None:
        """What a URL's id stands for, and its settings."""
        name, key = self._urls.get(url_id, ("", ""))
        function = self._functions.get(name)
        if function is None or key not in function.urls:
            return None
        return Reference(name, key or None), function.urls[key]

    # ------------------------------------------------------------------------------------ changes

    async def create(self, function: Function) -> None:
        """Raises Conflict when the store has it."""
        await self._put(f"function/{function.name}", function_document(function), expect=0)
        self._keep(function)

    async def save(self, function: Function) -> None:
        """Replace the function as a whole; memory follows the disk, never leads."""
        await self._put(f"function/{function.name}", function_document(function))
        before = self._functions.get(function.name)
        self._keep(function)
        if before is None or before.urls != function.urls:
            self._forget_urls(before)
            self._index_urls(function)

    def _keep(self, function: Function) -> None:
        self._functions[function.name] = function
        self._forget_called()

    def _forget_called(self) -> None:
        self._called.clear()
        self._resolved.clear()

    def _index_urls(self, function: Function) -> None:
        self._urls.update((config["id"], (function.name, key)) for key, config in function.urls.items())

    def _forget_urls(self, function: Function | None) -> None:
        for config in function.urls.values() if function is not None else ():
            self._urls.pop(config["id"], None)

    async def publish(self, function: Function, version: FunctionVersion) -> Function:
        """Add a numbered version; the changed function."""
        number = int(version.version)
        await self._put(f"version/{function.name}/{number:09d}", {**version_document(version), "uid": function.uid})
        changed = replace(
            function,
            next_version=max(function.next_version, number + 1),
            versions={**function.versions, number: version},
        )
        await self.save(changed)
        return changed

    async def unpublish(self, function: Function, number: int) -> None:
        await self._records.delete(f"version/{function.name}/{number:09d}")
        versions = {each: version for each, version in function.versions.items() if each != number}
        self._keep(replace(function, versions=versions))

    async def delete(self, name: str) -> None:
        function = self._functions[name]
        await self._records.delete(f"function/{name}")
        del self._functions[name]
        self._forget_called()
        self._forget_urls(function)
        for number in function.versions:
            await self._records.delete(f"version/{name}/{number:09d}")

    def code_keys(self) -> set[str]:
        """All code, layers and merged layers that some version refers to."""
        keys: set[str] = set()
        for function in self._functions.values():
            for version in (function.latest, *function.versions.values()):
                keys |= version.folders
        return keys

    async def _put(self, key: str, document: dict[str, Any], *, expect: int | None = None) -> None:
        await self._records.put(key, json.dumps(document).encode(), expect=expect)

    async def _documents(self, prefix: str) -> list[tuple[str, dict[str, Any]]]:
        found: list[tuple[str, dict[str, Any]]] = []
        after = ""
        while page := await self._records.scan(prefix, after=after):
            found += [(record.key, json.loads(record.value)) for record in page]
            after = page[-1].key
        return found
