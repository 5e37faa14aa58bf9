"""An ONNX model from files that anybody may have written: whole, checked, and with nothing from outside its folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message

from littoral.models.optimising.refusal import CannotOptimise

MOST_BYTES = 2**31 - 1  # what one protobuf message may have, weights of other files included


def read_model(file: Path) -> onnx.ModelProto:
    """The model, with weights that it keeps in files beside it read into it. Raises CannotOptimise."""
    try:
        size = file.stat().st_size
        if size > MOST_BYTES:
            raise CannotOptimise(f"{file} has {size} bytes; an ONNX file has at most {MOST_BYTES}")
        model: onnx.ModelProto = onnx.ModelProto.FromString(file.read_bytes())
    except OSError as problem:
        raise CannotOptimise(f"{file}: {problem.strerror}") from problem
    except DecodeError as problem:
        raise CannotOptimise(f"{file} is not an ONNX model, or is cut off") from problem
    _gather(model, file.parent.resolve(), MOST_BYTES - size)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as problem:
        raise CannotOptimise(f"{file} is not a sound ONNX model: {first_line(problem)}") from problem
    return model


def first_line(problem: BaseException) -> str:
    return next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)


def _gather(model: onnx.ModelProto, folder: Path, room: int) -> None:
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        told = {entry.key: entry.value for entry in tensor.external_data}
        data = _beside(tensor.name, told, folder, room)
        room -= len(data)
        tensor.raw_data = data
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
        _fits(tensor)


def _tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """All tensors within a message: weights, attributes, those of subgraphs and functions."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for each in (value,) if isinstance(value, Message) else value:
            if isinstance(each, onnx.TensorProto):
                yield each
            else:
                yield from _tensors(each)


def _beside(name: str, told: dict[str, str], folder: Path, room: int) -> bytes:
    """The bytes of a weight that is in a file of its own, which must be a plain one within the folder."""
    file = (folder / told.get("location", "")).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        raise CannotOptimise(f"the weight {name} is said to be in {told.get('location')!r}, no file beside the model")
    try:
        offset, length = int(told.get("offset", "0")), int(told.get("length", "-1"))
    except ValueError as problem:
        raise CannotOptimise(f"the weight {name} is at no readable place of its file: {problem}") from problem
    size = file.stat().st_size
    length = size - offset if length < 0 else length
    if not 0 <= offset <= offset + length <= size:
        raise CannotOptimise(f"the weight {name} ends beyond its file {file.name} of {size} bytes")
    if length > room:
        raise CannotOptimise(f"the model and its weights have more than {MOST_BYTES} bytes")
    with file.open("rb") as data:
        data.seek(offset)
        return data.read(length)


def _fits(tensor: onnx.TensorProto) -> None:
    try:
        each = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, ValueError) as problem:
        raise CannotOptimise(f"the weight {tensor.name} is of the unknown type {tensor.data_type}") from problem
    if tensor.data_type <= onnx.TensorProto.BOOL and len(tensor.raw_data) != math.prod(tensor.dims) * each:
        raise CannotOptimise(f"the weight {tensor.name} has {len(tensor.raw_data)} bytes, not those of its shape")
