"""The Open Inference Protocol, version 2: an inference request and its answer, with the binary tensor extension.

https://github.com/kserve/open-inference-protocol and Triton's extension_binary_data: with
``Inference-Header-Content-Length`` the body is JSON of that length and then the binary tensors, little endian, in the
order of the inputs that have ``binary_data_size``; an element of BYTES is four bytes of length and the bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from littoral.models.registry.onnxfile import Tensor
from littoral.models.runtime.forms import as_json, parsed
from littoral.models.runtime.refusal import BadInput
from littoral.models.runtime.session import DATATYPES, DTYPES, Array, Feeds, of_values

MOST_INPUTS: Final = 256


@dataclass(frozen=True, slots=True)
class Asked:
    identifier: str
    outputs: tuple[tuple[str, bool], ...]  # which, and whether binary; none for all
    binary: bool  # those that are not named


def read(body: memoryview, header: int | None) -> tuple[dict[str, Array], Asked]:
    """``header``: how long the JSON is, None for all of the body. Raises BadInput."""
    if header is not None and not 0 < header <= len(body):
        raise BadInput(f"Inference-Header-Content-Length is {header}, of a body of {len(body)} bytes")
    document = parsed(body if header is None else body[:header])
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise BadInput('an inference request is a JSON object with "inputs"')
    if len(document["inputs"]) > MOST_INPUTS:
        raise BadInput(f"more than {MOST_INPUTS} inputs")
    rest = memoryview(b"") if header is None else body[header:]
    feeds: dict[str, Array] = {}
    for each in document["inputs"]:
        name, array, rest = _input(each, rest)
        if name in feeds:
            raise BadInput(f"the input {name} is there twice")
        feeds[name] = array
    if len(rest):
        raise BadInput(f"{len(rest)} bytes are left over behind the inputs")
    outputs = _listed(document, "outputs")
    return feeds, Asked(
        str(document.get("id", "")),
        tuple((str(each.get("name")), _wants_binary(each)) for each in outputs),
        bool(_parameters(document).get("binary_data_output", False)),
    )


def _listed(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = document.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadInput(f"{key} is an array of objects")
    return found


def _wants_binary(output: Mapping[str, Any]) -> bool:
    parameters = _parameters(output)
    refused = sorted(parameters.keys() - {"binary_data"})
    if refused:
        raise BadInput(f"outputs: the parameter {refused[0]} is not there")
    return bool(parameters.get("binary_data", False))


def _parameters(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = document.get("parameters") or {}
    if not isinstance(found, dict):
        raise BadInput("parameters is an object")
    return found


def _input(given: Any, rest: memoryview) -> tuple[str, Array, memoryview]:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise BadInput("an input is an object with name, datatype, shape and data")
    name, datatype, shape = given["name"], given.get("datatype"), given.get("shape")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise BadInput(f"the input {name} has a datatype that is not served: {datatype}")
    if not isinstance(shape, list) or not all(type(each) is int and each >= 0 for each in shape):
        raise BadInput(f"the input {name} has no shape")
    parameters = _parameters(given)
    refused = sorted(parameters.keys() - {"binary_data_size"})
    if refused:
        raise BadInput(f"the input {name}: the parameter {refused[0]} is not there")
    size = parameters.get("binary_data_size")
    if size is None:
        return name, _of_json(name, given.get("data"), datatype, shape), rest
    if type(size) is not int or not 0 <= size <= len(rest) or "data" in given:
        raise BadInput(f"the input {name} says that {size} binary bytes follow, and {len(rest)} do")
    return name, _of_bytes(name, rest[:size], datatype, shape), rest[size:]


def _of_json(name: str, data: Any, datatype: str, shape: Sequence[int]) -> Array:
    if not isinstance(data, list):
        raise BadInput(f"the input {name} has no data")
    try:
        return of_values(data, DTYPES[datatype]).reshape(shape)
    except (ValueError, TypeError, OverflowError) as problem:
        text = f"the data of the input {name} is no {datatype} of the shape {list(shape)}: {problem}"
        raise BadInput(text) from problem


def _of_bytes(name: str, data: memoryview, datatype: str, shape: Sequence[int]) -> Array:
    count, dtype = math.prod(shape), DTYPES[datatype]
    if datatype == "BYTES":
        array: Array = np.array(_texts(name, data, count), dtype=object)
    elif count * dtype.itemsize != len(data):
        raise BadInput(f"the input {name} has {len(data)} binary bytes, not those of {datatype} {list(shape)}")
    else:
        array = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False)
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError) as problem:  # too many lengths, or too long ones beside a 0
        raise BadInput(f"the input {name} has a shape that no array has: {problem}") from problem


def _texts(name: str, data: memoryview, count: int) -> list[str]:
    found, at = [], 0
    try:
        while at < len(data):
            (size,) = struct.unpack_from("<I", data, at)
            if at + 4 + size > len(data):
                raise ValueError("cut off")
            found.append(bytes(data[at + 4 : at + 4 + size]).decode())
            at += 4 + size
    except (struct.error, ValueError) as problem:
        raise BadInput(f"the binary texts of the input {name} cannot be read: {problem}") from problem
    if len(found) != count:
        raise BadInput(f"the input {name} has {len(found)} binary texts, not {count}")
    return found


# ---------------------------------------------------------------------------------------------------- answers


def write(
    answer: Feeds, asked: Asked, outputs: Sequence[Tensor], about: Mapping[str, str]
) -> tuple[list[bytes], int | None]:
    """The parts of the body, and how long the JSON of them is where others follow. Raises BadInput, ModelFailed."""
    wanted = asked.outputs or tuple((each.name, asked.binary) for each in outputs)
    shown: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name, binary in wanted:
        array = answer.get(name)
        if array is None:
            raise BadInput(f"the model has no output {name}: it answers {', '.join(answer)}")
        entry: dict[str, Any] = {"name": name, "datatype": DATATYPES[array.dtype], "shape": list(array.shape)}
        if binary:
            parts.append(_as_bytes(array))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = array.reshape(-1).tolist()
        shown.append(entry)
    identified = {"id": asked.identifier} if asked.identifier else {}
    head = as_json({**about, **identified, "outputs": shown})
    return [head, *parts], len(head) if parts else None


def _as_bytes(array: Array) -> bytes:
    if array.dtype.hasobject:
        texts = [each if isinstance(each, bytes) else str(each).encode() for each in array.reshape(-1)]
        return b"".join(struct.pack("<I", len(each)) + each for each in texts)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
