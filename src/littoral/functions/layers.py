"""Layers: zips with a name and numbered versions, which functions see under /opt. Durable, and in memory for reads.

Owns: the documents ``layer/<name>``, one for a layer with all its versions, so that one put changes it at once. The
zips are kept by the code store. A number is never used again, also when all versions were deleted. A function keeps the
digests of its layers: it goes on working when a version of a layer is deleted, as on AWS.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from littoral.aws.service import ServiceError
from littoral.functions.names import Home, invalid, not_found
from littoral.functions.version import LayerUse
from littoral.store.contract import Records

MAX_LAYERS = 5  # of one function
_NAME = r"[a-zA-Z0-9-_]{1,140}"
_ARN = re.compile(rf"arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{{12}}):layer:(?P<name>{_NAME})")
_VERSION_ARN = re.compile(_ARN.pattern + r":(?P<version>[0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class LayerVersion:
    version: int
    sha256: str  # base64
    size: int  # bytes of the zip
    created: str
    description: str = ""
    license: str = ""
    runtimes: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    statements: tuple[dict[str, Any], ...] = ()
    policy_revision: str = ""

    @property
    def code_key(self) -> str:
        return base64.b64decode(self.sha256).hex()


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    next_version: int = 1
    versions: dict[int, LayerVersion] = field(default_factory=dict)

    @property
    def newest(self) -> LayerVersion | None:
        return self.versions[max(self.versions)] if self.versions else None


class Layers:
    def __init__(self, records: Records, home: Home) -> None:
        self._records = records
        self.home = home
        self._layers: dict[str, Layer] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def load(self) -> None:
        after = ""
        while page := await self._records.scan("layer/", after=after):
            for record in page:
                layer = _layer_from(json.loads(record.value))
                self._layers[layer.name] = layer
            after = page[-1].key

    def lock(self, name: str) -> asyncio.Lock:
        """Held while a layer is read, changed and written."""
        return self._locks.setdefault(name, asyncio.Lock())

    def all(self) -> list[Layer]:
        """Those that have a version, by name."""
        return [self._layers[name] for name in sorted(self._layers) if self._layers[name].versions]

    def find(self, name: str) -> Layer:
        """The layer, or the empty one that a first version is added to."""
        return self._layers.get(name) or Layer(name)

    def get(self, name: str, version: int) -> LayerVersion:
        """Raises ResourceNotFoundException, InvalidParameterValueException for what is no number of a version."""
        check_number(version)
        found = self.find(name).versions.get(version)
        if found is None:
            raise not_found("The resource you requested does not exist.")
        return found

    def arn(self, name: str, version: int | None = None) -> str:
        base = f"arn:aws:lambda:{self.home.region}:{self.home.account}:layer:{name}"
        return base if version is None else f"{base}:{version}"

    def name_of(self, text: str) -> str:
        """A layer's name from its name or ARN. Raises InvalidParameterValueException, ResourceNotFoundException."""
        if re.fullmatch(_NAME, text):
            return text
        match = _ARN.fullmatch(text)
        if match is None:
            raise invalid(f"Invalid layer name: {text[:200]}")
        if (match["region"], match["account"]) != (self.home.region, self.home.account):
            raise not_found("The resource you requested does not exist.")
        return match["name"]

    def parse(self, arn: str) -> tuple[str, int]:
        """Name and number of a layer version's ARN. Raises InvalidParameterValueException, AccessDeniedException for
        one that is not of this account and region: there is nobody to ask for it."""
        match = _VERSION_ARN.fullmatch(arn)
        if match is None:
            raise invalid(f"Invalid layer version ARN: {arn[:200]}")
        if match["region"] != self.home.region:
            raise invalid(
                "Layers are not in the same region as the function. "
                f"Layers are expected to be in region {self.home.region}."
            )
        if match["account"] != self.home.account:
            raise ServiceError(
                "AccessDeniedException",
                f"Not authorized to perform: lambda:GetLayerVersion on resource: {arn}: layers of other accounts are "
                "not reachable from this place",
                status=403,
            )
        return match["name"], int(match["version"])

    def uses(self, arns: Sequence[str], before: Iterable[LayerUse] = ()) -> tuple[LayerUse, ...]:
        """What a function keeps of its layers. One that it had ``before`` stays usable after its deletion.

        Raises InvalidParameterValueException for more than five, for what does not exist and for two versions of one.
        """
        if len(arns) > MAX_LAYERS:
            raise invalid(f"Cannot reference more than {MAX_LAYERS} layers.")
        kept = {use.arn: use for use in before}
        seen: dict[str, str] = {}
        uses: list[LayerUse] = []
        for arn in arns:
            name, number = self.parse(arn)
            if name in seen:
                raise invalid(
                    "Two different versions of the same layer are not allowed to be referenced in the same function. "
                    f"{seen[name]} and {arn} are versions of the same layer."
                )
            seen[name] = arn
            found = self.find(name).versions.get(number)
            if found is not None:
                uses.append(LayerUse(arn, found.sha256, found.size))
            elif arn in kept:
                uses.append(kept[arn])
            else:
                raise invalid(f"Layer version {arn} does not exist.")
        return tuple(uses)

    async def save(self, layer: Layer) -> None:
        """Replace the layer as a whole; memory follows the disk."""
        await self._records.put(f"layer/{layer.name}", json.dumps(asdict(layer)).encode())
        self._layers[layer.name] = layer

    async def remove(self, layer: Layer, number: int) -> None:
        versions = {each: version for each, version in layer.versions.items() if each != number}
        await self.save(replace(layer, versions=versions))

    def code_keys(self) -> set[str]:
        """The zips of all versions that can still be taken (hex digests)."""
        return {version.code_key for layer in self._layers.values() for version in layer.versions.values()}

    def code_size(self) -> int:
        return sum(version.size for layer in self._layers.values() for version in layer.versions.values())


def check_number(version: int) -> None:
    if version < 1:
        raise invalid("Layer Version Cannot be less than 1")


def _layer_from(document: dict[str, Any]) -> Layer:
    versions: dict[int, LayerVersion] = {}
    for number, stored in document["versions"].items():
        for member in ("runtimes", "architectures", "statements"):
            stored[member] = tuple(stored[member])
        versions[int(number)] = LayerVersion(**stored)
    return Layer(document["name"], document["next_version"], versions)
