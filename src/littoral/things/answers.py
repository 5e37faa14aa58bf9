"""What the place knows, for the external functions of rules: shadows, the registry, secrets, and what a bucket says of
protobuf messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from littoral.aws.service import Call, Principal, ServiceError
from littoral.net.message import BytesBody, Headers, Peer, Request
from littoral.protocols.iotsql.values import UNDEFINED
from littoral.things.control import Iot
from littoral.things.jobs import JobObjects
from littoral.things.names import Names
from littoral.things.rules.protobuf import MAX_DESCRIPTORS, Schemas
from littoral.things.shadows import Shadows


class Secrets(Protocol):
    async def current(self, identifier: str) -> str | bytes:
        """The value of that secret's current version. Raises ServiceError."""


class Answers:
    """A shadow or a thing that is not there is Undefined; a secret that is not there is a failure."""

    def __init__(
        self,
        iot: Iot,
        shadows: Shadows,
        names: Names,
        clock: Callable[[], float],
        secrets: Secrets | None,
        objects: JobObjects | None,
    ) -> None:
        self._secrets = secrets
        self._objects = objects
        self._schemas = Schemas()
        self._iot = iot
        self._shadows = shadows
        self._names = names
        self._clock = clock

    def table(self) -> Mapping[str, Callable[..., Awaitable[Any]]]:
        return {
            "get_thing_shadow": self.get_thing_shadow,
            "get_registry_data": self.get_registry_data,
            "get_secret": self.get_secret,
            "decode": self.decode,
        }

    async def get_thing_shadow(self, thing: str, shadow: str = "") -> Any:
        found = await self._shadows.get(thing, shadow)
        return UNDEFINED if found is None else found

    async def get_registry_data(self, api: str, thing: str) -> Any:
        asked = {
            "DescribeThing": self._iot.describe_thing,
            "ListThingGroupsForThing": self._iot.list_thing_groups_for_thing,
        }
        try:
            return await asked[api](self._call(api), thing_name=thing)
        except ServiceError as error:
            if error.code == "ResourceNotFoundException":
                return UNDEFINED
            raise

    async def get_secret(self, identifier: str, kind: str, key: str | None = None) -> Any:
        """``key``: of the JSON object that the secret is. Bytes are base64. Raises ServiceError."""
        if self._secrets is None:
            raise ServiceError("ResourceNotFoundException", "this place has no secrets for rules")
        found = await self._secrets.current(identifier)
        if isinstance(found, bytes) != (kind == "SecretBinary"):
            raise ServiceError("InvalidRequestException", f"the secret {identifier} has no {kind}")
        if key is None:
            return base64.b64encode(found).decode() if isinstance(found, bytes) else found
        try:
            return json.loads(found)[key]
        except (ValueError, KeyError, TypeError):
            raise ServiceError("InvalidRequestException", f"the secret {identifier} has no key {key!r}") from None

    async def decode(self, data: str, bucket: str, key: str, file: str, message: str) -> Any:
        """A protobuf message in base64 as JSON. Raises ServiceError, BadMessage."""
        if self._objects is None:
            raise ServiceError("NoSuchBucket", "this place has no buckets for rules")
        descriptors = await self._objects.read(bucket, key, most=MAX_DESCRIPTORS)
        return await self._schemas.decode(descriptors, file, message, data)

    def _call(self, api: str) -> Call:
        """As the account itself would call."""
        request = Request("GET", "/", Headers(), BytesBody(b""), Peer("", 0))
        region, account = self._names.region, self._names.account
        return Call("iot", api, region, account, Principal("key", ""), "", request, self._clock())
