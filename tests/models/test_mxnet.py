"""Models that MXNet 1.9.1 saved answer as MXNet itself did. ``mxnet/make.py`` made the files, with MXNet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.models.mxnet import CannotImport, import_model
from littoral.models.mxnet.params import read_params
from littoral.models.mxnet.writing import OPERATORS

onnxruntime = pytest.importorskip("onnxruntime")

HERE = Path(__file__).parent / "mxnet"
NAMES = sorted(file.name.removesuffix(".npz") for file in HERE.glob("*.npz"))


def files(name: str) -> tuple[bytes, bytes]:
    return (HERE / f"{name}-symbol.json").read_bytes(), (HERE / f"{name}-0000.params").read_bytes()


def answers(model: Any, inputs: dict[str, Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, inputs))


@pytest.mark.parametrize("name", NAMES)
def test_answers_as_mxnet_did(name: str) -> None:
    kept = dict(np.load(HERE / f"{name}.npz"))
    inputs = {key: value for key, value in kept.items() if not key.startswith("out")}
    model = import_model(*files(name), {key: value.shape for key, value in inputs.items()})
    for number, answer in enumerate(answers(model, inputs)):
        wanted = kept[f"out{number}"]
        assert answer.size == wanted.size
        np.testing.assert_allclose(answer.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-5)
    assert f"out{len(model.graph.output)}" not in kept


def test_the_batch_may_be_left_open() -> None:
    kept = np.load(HERE / "cells.npz")
    model = import_model(*files("cells"), {"data": ("N", *kept["data"].shape[1:])})
    (one,) = answers(model, {"data": kept["data"][:1]})
    (three,) = answers(model, {"data": np.concatenate([kept["data"], kept["data"][:1]])})
    np.testing.assert_allclose(one, kept["out0"][:1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(three[2:], one, rtol=1e-4, atol=1e-5)


def test_every_translation_is_used_by_some_fixture() -> None:
    nodes = [node["op"] for name in NAMES for node in json.loads(files(name)[0])["nodes"]]
    translations = {OPERATORS[op] for op in nodes if op in OPERATORS}
    assert {t.__name__ for t in OPERATORS.values()} - {t.__name__ for t in translations} == set()


def test_what_is_not_imported_is_named() -> None:
    symbol, params = files("pixels")
    with pytest.raises(CannotImport, match="the operator Correlation"):
        import_model(symbol.replace(b'"Convolution"', b'"Correlation"'), params, {"data": (1, 3, 5, 6)})
    with pytest.raises(CannotImport, match="inputs have data"):
        import_model(symbol, params, {})
    with pytest.raises(CannotImport, match="no input other"):
        import_model(symbol, params, {"data": (1, 3, 5, 6), "other": (1,)})
    with pytest.raises(CannotImport, match="does not fit together"):
        import_model(*files("cells"), {"data": (2, 4, 9)})


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"nodes": 3, "heads": []}', b"[" * 100_000, b'{"nodes": [{}], "heads": []}']
)
def test_what_is_no_symbol_file(text: bytes) -> None:
    with pytest.raises(CannotImport, match="no symbol file"):
        import_model(text, files("pixels")[1], {})


def test_a_circle_is_refused() -> None:
    graph = json.loads(files("pixels")[0])
    graph["nodes"][3]["inputs"][0] = [5, 0, 0]
    with pytest.raises(CannotImport, match="does not stand before"):
        import_model(json.dumps(graph).encode(), files("pixels")[1], {"data": (1, 3, 5, 6)})


def test_a_shape_is_never_run() -> None:
    symbol, params = files("pixels")
    hostile = symbol.replace(b'"(1, 1)"', b"\"__import__('os').abort()\"")
    assert hostile != symbol
    with pytest.raises(CannotImport, match="where numbers should be"):
        import_model(hostile, params, {"data": (1, 3, 5, 6)})


PARAMS = files("signal")[1]


@given(st.integers(0, len(PARAMS) - 1))
def test_params_cut_short(size: int) -> None:
    with pytest.raises(CannotImport):
        read_params(PARAMS[:size])


@given(st.lists(st.tuples(st.integers(0, len(PARAMS) - 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_params_changed_anywhere(changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(PARAMS)
    for at, new in changes:
        data[at : at + len(new)] = new
    try:
        found = read_params(bytes(data))
    except CannotImport:
        return
    assert sum(array.nbytes for array in found.values()) <= len(data)


def test_the_page_lists_the_operators() -> None:
    page = (Path(__file__).parents[2] / "docs/models.md").read_text()
    listed = page.partition("These operators are imported:")[2].partition("\n\nChannels")[0]
    assert {word.strip("` \n") for word in listed.split(",")} == set(OPERATORS)
