"""``decode(x, 'proto', …)``: protobuf messages as JSON, by descriptor sets that lie in buckets.

Owns: which descriptor sets were read (kept by their bytes, so a changed one holds at once), and the limits of AWS's
page "Decoding protobuf message payloads". Refuses to know where they lie. JSON is protobuf's own mapping: names in
lowerCamelCase, 64-bit integers as text, bytes in base64, enumerations by name, what has no value left out.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from google.protobuf.descriptor_pool import DescriptorPool

MAX_DESCRIPTORS: Final = 32 * 1024  # bytes of a descriptor set
MAX_PAYLOAD: Final = 128 * 1024  # coming in and going out
MAX_KEPT: Final = 100
LONG: Final = 4096  # bytes of a message, from which on it is decoded beside the loop


class BadMessage(ValueError):
    """The descriptor set, or what is to be decoded by it, is not what the rule says."""


class Schemas:
    def __init__(self) -> None:
        self._kept: dict[bytes, Schema] = {}

    async def decode(self, descriptors: bytes, file: str, message: str, data: str) -> Any:
        """Raises BadMessage."""
        schema = self._kept.get(descriptors)
        if schema is None:
            schema = Schema(descriptors)
            while len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[descriptors] = schema
        try:
            raw = base64.b64decode(data, validate=True)
        except ValueError:
            raise BadMessage("what is to be decoded is not base64") from None
        if len(raw) > MAX_PAYLOAD:
            raise BadMessage(f"the message has more than {MAX_PAYLOAD} bytes")
        if len(raw) < LONG:
            return schema.decode(file, message, raw)
        return await asyncio.to_thread(schema.decode, file, message, raw)


class Schema:
    """One descriptor set."""

    def __init__(self, descriptors: bytes) -> None:
        # Here and not above: only a place with such a rule pays for it.
        from google.protobuf import descriptor_pb2, descriptor_pool

        if len(descriptors) > MAX_DESCRIPTORS:
            raise BadMessage(f"the descriptor set has more than {MAX_DESCRIPTORS} bytes")
        try:
            found = descriptor_pb2.FileDescriptorSet.FromString(descriptors)
            self._pool: DescriptorPool = descriptor_pool.DescriptorPool()
            for each in found.file:  # protoc --include_imports writes what a file imports before it
                self._pool.Add(each)
            self._files = {each.name: self._pool.FindFileByName(each.name).package for each in found.file}
        except Exception as error:  # noqa: BLE001 - as below
            raise BadMessage(f"invalid protobuf file descriptor: {error}") from None

    def decode(self, file: str, message: str, raw: bytes) -> Any:
        """``file``: with or without ".proto"; ``message``: with or without its package. Raises BadMessage."""
        from google.protobuf import json_format, message_factory

        described = message_factory.GetMessageClass(self._described(file, message))
        try:
            found = json_format.MessageToDict(described.FromString(raw), descriptor_pool=self._pool)
        except Exception as error:  # noqa: BLE001 - a set may say of google.protobuf.Timestamp what it likes
            raise BadMessage(f"the message cannot be read as {message}: {error}") from None
        if len(json.dumps(found)) > MAX_PAYLOAD:
            raise BadMessage(f"the message as JSON has more than {MAX_PAYLOAD} bytes")
        return found

    def _described(self, file: str, message: str) -> Any:
        name = file if file in self._files else f"{file}.proto"
        if name not in self._files:
            raise BadMessage(f"there is no {file!r} in the descriptor set")
        package = self._files[name]
        for full in (f"{package}.{message}" if package else message, message):
            try:
                found = self._pool.FindMessageTypeByName(full)
            except KeyError:
                continue
            if found.file.name == name:
                return found
        raise BadMessage(f"there is no message {message!r} in {name}")
