"""What an ONNX file says of itself, read without running or allocating anything of it.

A walk over protobuf's wire format (https://protobuf.dev/programming-guides/encoding/) by the field numbers of
onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Tensors are stepped over: how long it takes depends
on how many nodes there are. Refused is whatever reaches beyond the file (external data), whether the graph uses it or
not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from littoral.models.registry.refusal import BadModel

MOST_FIELDS: Final = 4_000_000  # looked at in one file: a few seconds
DEEPEST: Final = 32  # graphs in graphs
MOST_TENSORS: Final = 1024  # inputs and outputs, which the registry keeps in memory
MOST_LENGTHS: Final = 64  # of one, as numpy's arrays have
LONGEST: Final = 1024  # characters of a name
KINDS: Final = {  # TensorProto.DataType → the Open Inference Protocol's datatype
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    4: "UINT16",
    5: "INT16",
    6: "INT32",
    7: "INT64",
    8: "BYTES",
    9: "BOOL",
    10: "FP16",
    11: "FP64",
    12: "UINT32",
    13: "UINT64",
}

# the fields that lead to tensors, by the message: number → the message it holds
_INSIDE: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or an output. A length is a number, or the name that it has in the graph ("" for none)."""

    name: str
    datatype: str  # as the Open Inference Protocol calls it
    shape: tuple[int | str, ...]

    @classmethod
    def of(cls, document: dict[str, Any]) -> Tensor:
        return cls(document["name"], document["datatype"], tuple(document["shape"]))

    @property
    def document(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    def __str__(self) -> str:
        return f"{self.name} {self.datatype}[{', '.join(str(each) or '?' for each in self.shape)}]"


@dataclass(frozen=True, slots=True)
class Inspected:
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: int  # of ONNX's own operators
    producer: str


def inspect(data: bytes) -> Inspected:
    """Raises BadModel."""
    if foreign := _foreign(data):
        raise BadModel(foreign)
    try:
        return _Walk(memoryview(data)).inspected()
    except (IndexError, UnicodeDecodeError, _Malformed) as problem:
        raise BadModel("not an ONNX model: the file is damaged or of another kind") from problem


def _foreign(data: bytes) -> str:
    if data[:2] in {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"}:
        return "a pickle, which could run anything: models are kept as ONNX (torch.onnx.export), pickles never loaded"
    if data[:4] == b"PK\x03\x04":
        return "a zip archive (as torch.save writes): models are kept as ONNX (torch.onnx.export), pickles never loaded"
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return "an HDF5 file: models are kept as ONNX"
    return "an empty file" if not data else ""


class _Malformed(Exception):
    pass


class _Walk:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._left = MOST_FIELDS

    def inspected(self) -> Inspected:
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []
        weights: set[str] = set()
        opset, producer, graphs, version = 0, "", 0, 0
        for number, value in self._fields(self._data):
            if number == 1:
                version = _number(value)
            elif number == 2:
                producer = _text(value)
            elif number == 8:
                domain, wanted = "", 0
                for part, each in self._fields(_message(value)):
                    domain, wanted = (_text(each), wanted) if part == 1 else (domain, _number(each))
                opset = wanted if domain in {"", "ai.onnx"} else opset
            elif number == 7:
                graphs += 1
                self._signature(_message(value), inputs, outputs, weights)
        if not (graphs and version and outputs):
            raise BadModel("not an ONNX model: there is no graph with an answer")
        self._confined(self._data, "model", 0)
        given = tuple(each for each in inputs if each.name not in weights)
        if len(given) + len(outputs) > MOST_TENSORS:
            raise BadModel(f"the model has more than {MOST_TENSORS} inputs and outputs")
        return Inspected(given, tuple(outputs), opset, producer)

    def _signature(self, graph: memoryview, inputs: list[Tensor], outputs: list[Tensor], weights: set[str]) -> None:
        for number, value in self._fields(graph):
            if number == 11:
                inputs.append(self._tensor(_message(value)))
            elif number == 12:
                outputs.append(self._tensor(_message(value)))
            elif number == 5:
                weights.update(_text(each) for part, each in self._fields(_message(value)) if part == 8)

    def _tensor(self, info: memoryview) -> Tensor:
        name, kind = "", 0
        shape: list[int | str] = []
        for number, value in self._fields(info):
            if number == 1:
                name = _text(value)
            elif number == 2:
                for which, tensor in self._fields(_message(value)):
                    if which != 1:
                        raise BadModel("an input or output is a sequence, a map or optional: only tensors are served")
                    for part, each in self._fields(_message(tensor)):
                        if part == 1:
                            kind = _number(each)
                        elif part == 2:
                            shape = [self._length(_message(dim)) for at, dim in self._fields(_message(each)) if at == 1]
        if max(len(name), *(len(each) for each in shape if isinstance(each, str)), 0) > LONGEST:
            raise BadModel(f"an input, an output or a length of one has a name of more than {LONGEST} characters")
        if len(shape) > MOST_LENGTHS:
            raise BadModel(f"the tensor {name!r} has more than {MOST_LENGTHS} lengths")
        if kind not in KINDS:
            raise BadModel(f"the tensor {name!r} is of a type ({kind}) that is not served")
        return Tensor(name, KINDS[kind], tuple(shape))

    def _length(self, dimension: memoryview) -> int | str:
        for number, value in self._fields(dimension):
            if number == 1:
                return _number(value)
            if number == 2:
                return _text(value)
        return ""

    def _confined(self, data: memoryview, kind: str, depth: int) -> None:
        """Raises BadModel where anything within reaches beyond the file."""
        if depth > DEEPEST:
            raise BadModel(f"the model's graphs are nested more than {DEEPEST} deep")
        inside = _INSIDE[kind]
        for number, value in self._fields(data):
            if kind == "tensor" and (number == 13 or (number == 14 and value)):
                raise BadModel(
                    "the model's weights are in another file (external data): save it as one file "
                    "(onnx.save(model, file, save_as_external_data=False))"
                )
            if number in inside:
                self._confined(_message(value), inside[number], depth + (inside[number] == "graph"))

    def _fields(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Number and value of each field. Raises IndexError or _Malformed where the bytes are no message."""
        at, end = 0, len(data)
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise BadModel(f"the model has more than {MOST_FIELDS} parts")
            key, at = _varint(data, at)
            number, wire = key >> 3, key & 7
            value: int | memoryview
            if wire == 0:
                value, at = _varint(data, at)
            elif wire == 2:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
            elif wire in {1, 5}:
                size = 8 if wire == 1 else 4
                value, at = data[at : at + size], at + size
            else:
                raise _Malformed(f"wire type {wire}")
            if at > end or number == 0:
                raise _Malformed("cut off")
            yield number, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at + 1
        shift += 7
        if shift > 63:
            raise _Malformed("a number without an end")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _Malformed("a number where a message is due")
    return value


def _number(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise _Malformed("bytes where a number is due")
    return value if value < 1 << 63 else value - (1 << 64)


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode()
