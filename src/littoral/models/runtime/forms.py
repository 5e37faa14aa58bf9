"""Bodies as SageMaker's InvokeEndpoint takes them: JSON, CSV and numpy's own form, read and written.

JSON is an array (the model's one input), ``{"instances": [...]}`` (rows; rows of several inputs are objects) or
``{"inputs": ...}`` (an array, or an object of them); answered in kind. An array in numpy's form is looked at in place;
one of Python objects, which would be a pickle, is refused.
"""

from __future__ import annotations

import io
import json
import math
import tokenize
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from littoral.models.registry.onnxfile import Tensor
from littoral.models.runtime.refusal import BadInput, ModelFailed
from littoral.models.runtime.session import DTYPES, Array, Feeds

JSON: Final = "application/json"
CSV: Final = "text/csv"
NPY: Final = "application/x-npy"
FORMS: Final = (JSON, CSV, NPY)


def read(form: str, body: memoryview, inputs: Sequence[Tensor]) -> tuple[dict[str, Any], str]:
    """The inputs, and how the answer is wrapped ("" for not at all). Raises BadInput."""
    if form == JSON:
        return _of_json(parsed(body), inputs)
    return {_only(inputs).name: _of_csv(body, _only(inputs)) if form == CSV else _of_npy(body)}, ""


def parsed(body: memoryview) -> Any:
    """Raises BadInput."""
    try:
        return json.loads(bytes(body), parse_constant=_constant)
    except (ValueError, RecursionError) as problem:
        raise BadInput(f"the body is no JSON: {problem}") from problem


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _of_json(value: Any, inputs: Sequence[Tensor]) -> tuple[dict[str, Any], str]:
    if isinstance(value, list):
        return {_only(inputs).name: value}, ""
    if isinstance(value, dict) and len(value) == 1:
        if "instances" in value:
            return _rows(value["instances"], inputs), "predictions"
        if "inputs" in value:
            inside = value["inputs"]
            return (inside if isinstance(inside, dict) else {_only(inputs).name: inside}), "outputs"
    raise BadInput('a JSON body is an array, {"instances": rows}, or {"inputs": array, or object of arrays}')


def _rows(rows: Any, inputs: Sequence[Tensor]) -> dict[str, Any]:
    if not isinstance(rows, list) or not rows:
        raise BadInput("instances is an array of at least one row")
    if not isinstance(rows[0], dict):
        return {_only(inputs).name: rows}
    names = rows[0].keys()
    if any(not isinstance(row, dict) or row.keys() != names for row in rows):
        raise BadInput("every row of instances has the same inputs")
    return {name: [row[name] for row in rows] for name in names}


def _of_csv(body: memoryview, tensor: Tensor) -> Array:
    try:
        rows = [line.split(",") for line in bytes(body).decode().splitlines() if line.strip()]
        if DTYPES[tensor.datatype].kind == "O":
            return np.array(rows, dtype=object)
        if len({len(row) for row in rows}) != 1:
            raise ValueError("the lines are not of one length")
        array = np.array(rows).astype(DTYPES[tensor.datatype])
        inner = tensor.shape[1:]
        if len(inner) != 1 and all(isinstance(length, int) for length in inner):
            return array.reshape((-1, *(int(length) for length in inner)))
        return array
    except (ValueError, OverflowError) as problem:
        raise BadInput(f"the body is no CSV of {tensor}: {problem}") from problem


def _of_npy(body: memoryview) -> Array:
    try:
        stream = io.BytesIO(bytes(body[: 64 * 1024]))
        shape, fortran, dtype = _npy_header(stream)
        if dtype.hasobject:
            raise BadInput("an array of Python objects is a pickle, and pickles are never loaded")
        data = body[stream.tell() :]
        if math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"{len(data)} bytes follow, not those of {list(shape)}")
        array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
        return array if dtype.isnative else array.astype(dtype.newbyteorder("="))
    except (ValueError, TypeError, OverflowError) as problem:
        raise BadInput(f"the body is no array in numpy's form: {problem}") from problem


def _npy_header(stream: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Raises ValueError. What numpy reads it with has errors of its own for what does not end, or goes too deep."""
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        return header(stream)
    except (SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as problem:
        raise ValueError("its header cannot be read") from problem


def _only(inputs: Sequence[Tensor]) -> Tensor:
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs)
        raise BadInput(f'the model has {len(inputs)} inputs: name them, as {{"inputs": …}} of {names}')
    return inputs[0]


# ---------------------------------------------------------------------------------------------------- answers


def write(form: str, answer: Feeds, wrapped: str) -> bytes:
    """Raises BadInput where the form cannot hold it, ModelFailed for a NaN in JSON."""
    if form == JSON:
        return _as_json(answer, wrapped)
    if len(answer) != 1:
        raise BadInput(f"{form} holds one array, and the model answers {', '.join(answer)}: accept {JSON}")
    (array,) = answer.values()
    if form == CSV:
        rows = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
        return "".join(",".join(map(str, row)) + "\n" for row in rows.tolist()).encode()
    if array.dtype.hasobject:
        raise BadInput(f"{NPY} holds no texts: accept {JSON}")
    into = io.BytesIO()
    np.lib.format.write_array(into, array, allow_pickle=False)
    return into.getvalue()


def _as_json(answer: Feeds, wrapped: str) -> bytes:
    plain = {name: array.tolist() for name, array in answer.items()}
    value: Any = next(iter(plain.values())) if len(plain) == 1 else plain
    if wrapped == "predictions" and len(plain) > 1:
        value = [dict(zip(plain, row, strict=True)) for row in zip(*_lists(answer, plain), strict=True)]
    return as_json({wrapped: value} if wrapped else value)


def _lists(answer: Feeds, plain: Mapping[str, Any]) -> list[Any]:
    lengths = {array.shape[:1] for array in answer.values()}
    if len(lengths) != 1 or lengths == {()}:
        raise BadInput('the answers are not of as many rows: ask with {"inputs": …}')
    return list(plain.values())


def as_json(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_text).encode()
    except ValueError as problem:
        raise ModelFailed("the model answered a NaN or an infinity, which JSON cannot hold") from problem


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise TypeError(type(value).__name__)
