"""What means harm: bodies that no request has, and models that are sound ONNX."""

from __future__ import annotations

import asyncio
import gzip
import json
import tarfile
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.models.mxnet.params import V2, read_params
from littoral.models.mxnet.refusal import CannotImport
from littoral.models.optimising.calibration import read_samples
from littoral.models.optimising.refusal import CannotOptimise
from littoral.models.registry.container import model_in
from littoral.models.registry.onnxfile import LONGEST, MOST_LENGTHS, MOST_TENSORS, inspect
from littoral.models.registry.refusal import BadModel
from littoral.models.runtime.refusal import ModelFailed
from littoral.models.runtime.session import DTYPES, Session
from littoral.models.runtime.worker import Worker
from littoral.models.serving.answers import CannotServe
from littoral.models.serving.process import Limits
from littoral.models.serving.server import Server
from littoral.site.modelroom import confined
from tests.models import hostile, nets
from tests.models.small_nets import saved
from tests.models.test_server import artifact, ask, rows_of

SHAPES = ([0, 2**62, 4], [0, 2**70], [0] + [1] * 70, [1] * 70, [2**31, 2**33], [1, 4], [])
LENGTHS = st.one_of(st.integers(0, 5), st.sampled_from([2**31, 2**62, 2**63, 2**70]))
WRONG = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(["name", "data", "a"]), inner, max_size=2)
    ),
    max_leaves=6,
)
NPY = (
    "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 4), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4), }",
    "{'descr': 'V0', 'fortran_order': False, 'shape': (0,), }",
    "{'descr': [('a', 'O')], 'fortran_order': False, 'shape': (0,), }",
    "(" * 300,
    "'''",
    "1" + "+1" * 4000,
    "-" * 9000 + "1",
)


@cache
def worker() -> Worker:
    return Worker(Session(nets.linear(), threads=1), {"rows": 0, "usual_rows": 32})


def answered(form: str, body: bytes, header: int | None = None) -> dict[str, Any]:
    """What is said at the head of the answer; only what may be raised is refused, as all else would end the process."""
    said = {"form": form, "accept": "application/json", "header": header, "about": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (answer,) = worker().answers(worker().read([said], [memoryview(body)]))
    json.dumps(answer.head).encode()
    return answer.head


def asked(given: dict[str, Any], behind: bytes = b"") -> dict[str, Any]:
    head = json.dumps({"inputs": [given]}).encode()
    return answered("oip", head + behind, len(head))


def npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


@pytest.mark.parametrize("datatype", sorted(DTYPES))
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_that_no_array_has(shape: list[int], datatype: str) -> None:
    about = {"name": "x", "shape": shape, "datatype": datatype}
    for more, behind in (
        ({"data": []}, b""),
        ({"data": [1]}, b""),
        ({"parameters": {"binary_data_size": 0}}, b""),
        ({"parameters": {"binary_data_size": 4}}, bytes(4)),
    ):
        assert asked({**about, **more}, behind)["error"] == "input"


@given(name=WRONG, shape=st.one_of(WRONG, st.lists(LENGTHS, max_size=4)), kind=WRONG, data=WRONG, size=WRONG)
def test_requests_of_any_kind(name: Any, shape: Any, kind: Any, data: Any, size: Any) -> None:
    for each in (
        {"name": "x", "shape": shape, "datatype": "FP32", "data": data},
        {"name": "x", "shape": [1, 4], "datatype": kind, "data": data},
        {"name": "x", "shape": shape, "datatype": "BYTES", "parameters": {"binary_data_size": size}},
        {"name": name, "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]},
    ):
        assert "error" not in (said := asked(each)) or said["error"] == "input"


@pytest.mark.parametrize("header", NPY)
def test_arrays_of_numpy_s_form_that_are_none(header: str, tmp_path: Path) -> None:
    assert answered("application/x-npy", npy(header))["error"] == "input"
    model, samples = saved(tmp_path)
    with zipfile.ZipFile(samples, "w") as archive:
        archive.writestr("image.npy", npy(header))
    with pytest.raises(CannotOptimise):
        read_samples(samples, onnx.load(model))


def test_texts_are_no_numbers() -> None:
    said = asked({"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ["1", "2", "3", "4"]})
    assert said["error"] == "input" and "texts" in said["message"]


def test_an_array_of_mxnet_s_that_no_array_is() -> None:
    lengths = b"".join(length.to_bytes(8, "little") for length in (0, 2**62, 2**62))
    array = V2.to_bytes(4, "little") + bytes(4) + (3).to_bytes(4, "little") + lengths + bytes(12)
    head = (0x112).to_bytes(8, "little") + bytes(8)
    with pytest.raises(CannotImport, match="no array"):
        read_params(head + (1).to_bytes(8, "little") + array + bytes(8))


def test_a_model_says_of_itself_no_more_than_can_be_kept() -> None:
    made = onnx.load_model_from_string(nets.linear())
    for change, said in (
        (lambda graph: graph.input.extend([graph.input[0]] * MOST_TENSORS), "inputs and outputs"),
        (
            lambda graph: graph.input[0].type.tensor_type.shape.dim.extend(
                [onnx.TensorShapeProto.Dimension()] * (MOST_LENGTHS + 1)
            ),
            "lengths",
        ),
        (lambda graph: setattr(graph.output[0], "name", "y" * (LONGEST + 1)), "name"),
    ):
        other = onnx.ModelProto()
        other.CopyFrom(made)
        change(other.graph)
        with pytest.raises(BadModel, match=said):
            inspect(other.SerializeToString())


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE])
def test_an_archive_has_no_heads_that_fill_the_memory(kind: bytes) -> None:
    entry = tarfile.TarInfo("model.onnx")
    entry.type, entry.size = kind, 8 << 30
    with pytest.raises(BadModel, match="the archive has"):
        model_in(gzip.compress(entry.tobuf(tarfile.GNU_FORMAT)))


def test_an_archive_has_no_sparse_file_by_extended_headers() -> None:
    said = b"".join(b"%d %s\n" % (len(each) + 4, each) for each in (b"GNU.sparse.major=1", b"GNU.sparse.minor=0"))
    head, entry = tarfile.TarInfo("head"), tarfile.TarInfo("model.onnx")
    head.type, head.size, entry.size = tarfile.XHDTYPE, len(said), 1 << 20
    packed = head.tobuf(tarfile.USTAR_FORMAT) + said.ljust(512, b"\0") + entry.tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(BadModel, match="sparse"):
        model_in(gzip.compress(packed + bytes(1 << 20)))


def test_a_model_is_read_as_onnx_alone() -> None:
    """ONNX Runtime takes bytes that begin as its own form does for that, which nobody has inspected."""
    found = Session(hostile.posing(), threads=1).run({"x": np.ones((1, 4), np.float32)})
    assert found["y"].tolist() == [[1.0] * 4]


async def test_models_that_mean_harm_harm_themselves_alone() -> None:
    server = Server(confined, 8 << 30, Limits(1 << 30, 1), spare=False)
    good, huge, endless = map(artifact, (nets.linear(), hostile.huge(), hostile.endless()))
    try:
        await asyncio.gather(server.load(good), server.load(endless))
        with pytest.raises(CannotServe, match="failed"):
            await server.infer(huge, ask([1, 1, 1, 1]))
        server._limits = Limits(1 << 30, 1, seconds=0.5)
        with pytest.raises(CannotServe, match="did not answer"):
            await server.infer(endless, ask([1, 1, 1, 1]))
        server._limits = Limits(1 << 30, 1)
        assert rows_of(await server.infer(good, ask([1, 1, 1, 1]))) == [[3.0] * 4]
    finally:
        await server.close()


def test_an_operator_that_nobody_knows() -> None:
    with pytest.raises(ModelFailed, match="cannot load"):
        Session(hostile.unknown_operator(), threads=1)
