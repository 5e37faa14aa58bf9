"""Models made ready for a place by ONNX Runtime's own quantiser, and what anybody may have written refused."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

onnxruntime = pytest.importorskip("onnxruntime")

from littoral.models.optimising import METHODS, CannotOptimise, calibration, measuring, optimise  # noqa: E402
from littoral.models.optimising.calibration import read_samples  # noqa: E402
from littoral.models.optimising.opening import read_model  # noqa: E402
from tests.models.small_nets import image_net, images, saved  # noqa: E402


@pytest.fixture(autouse=True)
def _in_a_moment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Each time is taken once, and memory, which takes a process a form, in the test of it alone."""
    monkeypatch.setattr(measuring, "ROUNDS", 1)
    monkeypatch.setattr(measuring, "ROUND", 0.0)
    if "costs" not in request.node.name:
        monkeypatch.setattr(measuring, "memory", lambda file, samples: 0.0)


def run(model: bytes, **inputs: Any) -> Any:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def operators(model: bytes) -> set[str]:
    return {node.op_type for node in onnx.ModelProto.FromString(model).graph.node}


@pytest.mark.parametrize("method", METHODS)
def test_what_is_written_answers_as_the_given_one_and_any_batch(tmp_path: Path, method: str) -> None:
    whole, report = optimise(*saved(tmp_path), method=method, bound=0.1)
    assert whole is not None
    assert report.chosen == method
    wanted, found = (run(model, image=images(3)) for model in (image_net().SerializeToString(), whole))
    assert found.shape == wanted.shape == (3, 4)
    assert np.abs(found - wanted).max() / np.abs(wanted).max() < (1e-5 if method == "float" else 0.2)
    integers = {"static": {"QLinearConv"}, "dynamic": {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"}}
    assert not integers.get(method) or operators(whole) & integers[method]


def test_the_report_says_what_each_form_costs(tmp_path: Path) -> None:
    _, report = optimise(*saved(tmp_path), method="static", bound=0.1)
    given, static = report.forms
    assert (given.name, static.name, report.samples) == ("given", "static", 20)
    assert given.difference == 0 < static.difference
    assert static.bytes < given.bytes
    assert given.bytes == len((tmp_path / "net.onnx").read_bytes())
    assert given.accuracy is static.accuracy is None
    assert min(static.latency_ms, given.latency_ms, static.memory_mib, given.memory_mib) > 0


def test_the_best_is_the_fastest_that_keeps_the_bound(tmp_path: Path) -> None:
    whole, report = optimise(*saved(tmp_path), method="best", bound=0.0001)
    assert whole is not None
    assert [form.name for form in report.forms] == ["given", *METHODS]
    assert report.chosen == "float"  # integers lose more than that


def test_beyond_the_bound_nothing_is_given(tmp_path: Path) -> None:
    whole, report = optimise(*saved(tmp_path), method="static", bound=0.0)
    assert whole is None
    assert report.chosen is None


def test_with_labels_the_bound_is_on_accuracy(tmp_path: Path) -> None:
    model, samples = saved(tmp_path)
    right = run(model.read_bytes(), image=images(40)).argmax(axis=1)
    wrong = (right + (np.arange(40) % 4 == 1)) % 4  # half of the odd ones, which judge
    np.savez(samples, image=images(40), labels=wrong)
    _, report = optimise(model, samples, method="static", bound=0.5)
    assert report.measured == "the fall of accuracy"
    assert report.forms[0].accuracy == 0.5
    np.savez(samples, image=images(40), labels=np.zeros((40, 4), np.int64))
    _, report = optimise(model, samples, method="float", bound=0.5)
    assert report.forms[0].accuracy == np.mean(run(model.read_bytes(), image=images(40)[1::2]) <= 0.5)
    np.savez(samples, image=images(40), labels=np.zeros((40, 3), np.int64))
    with pytest.raises(CannotOptimise, match=r"labels of shape \[20, 3\] do not fit answers of shape \[20, 4\]"):
        optimise(model, samples, method="float", bound=0.5)


def test_lengths_that_are_fixed_are_so_in_the_file(tmp_path: Path) -> None:
    whole, report = optimise(*saved(tmp_path), method="static", bound=0.1, lengths={"N": 2})
    assert whole is not None
    shape = onnx.ModelProto.FromString(whole).graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [2, 3, 8, 8]
    assert report.samples == 20
    with pytest.raises(CannotOptimise, match="no open length M; it has N"):
        optimise(*saved(tmp_path), method="static", bound=0.1, lengths={"M": 2})
    with pytest.raises(CannotOptimise, match="40 samples; at least 60 are needed"):
        optimise(*saved(tmp_path), method="static", bound=0.1, lengths={"N": 30})


# ------------------------------------------------------------------------------------------------ hostile models


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_model_is_refused_or_is_a_model(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(image_net().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged.onnx"
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        assert isinstance(read_model(file), onnx.ModelProto)
    except CannotOptimise as problem:
        assert "\n" not in str(problem)


def beside(folder: Path, **place: str) -> Path:
    """A model whose first weight is in a file of its own, at ``place``."""
    model = image_net()
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in place.items():
        tensor.external_data.add(key=key, value=value)
    folder.mkdir(exist_ok=True)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    (folder / "weights.bin").write_bytes(b"\0" * 16 + data)
    return folder / "net.onnx"


def test_weights_beside_the_model_are_read_into_it(tmp_path: Path) -> None:
    model = read_model(beside(tmp_path, location="weights.bin", offset="16"))
    tensor = model.graph.initializer[0]
    assert tensor.data_location == onnx.TensorProto.DEFAULT
    assert tensor.raw_data == (tmp_path / "weights.bin").read_bytes()[16:]


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ({"location": "../outside.bin"}, "no file beside the model"),
        ({"location": "/etc/passwd"}, "no file beside the model"),
        ({"location": "link.bin"}, "no file beside the model"),
        ({"location": "pipe"}, "no file beside the model"),
        ({"location": "."}, "no file beside the model"),
        ({}, "no file beside the model"),
        ({"location": "weights.bin", "offset": "17"}, "not those of its shape"),
        ({"location": "weights.bin", "offset": "-1"}, "ends beyond its file"),
        ({"location": "weights.bin", "offset": "16", "length": "9999999"}, "ends beyond its file"),
        ({"location": "weights.bin", "offset": "x"}, "no readable place"),
    ],
)
def test_weights_from_elsewhere_are_refused(tmp_path: Path, place: dict[str, str], problem: str) -> None:
    (tmp_path / "outside.bin").write_bytes(b"\0" * 1728)
    file = beside(tmp_path / "model", **place)
    (tmp_path / "model/link.bin").symlink_to(tmp_path / "outside.bin")
    os.mkfifo(tmp_path / "model/pipe")
    with pytest.raises(CannotOptimise, match=problem):
        read_model(file)


def test_what_onnx_runtime_does_not_know_is_one_line(tmp_path: Path) -> None:
    model, samples = saved(tmp_path)
    strange = image_net()
    strange.graph.node[1].domain = "com.example"
    strange.opset_import.add(domain="com.example", version=1)
    model.write_bytes(strange.SerializeToString())
    with pytest.raises(CannotOptimise, match="ONNX Runtime") as refused:
        optimise(model, samples, method="float", bound=1)
    assert "\n" not in str(refused.value)


# ------------------------------------------------------------------------------------------------ hostile samples


def refused(folder: Path, **arrays: Any) -> str:
    model, samples = saved(folder, **arrays)
    with pytest.raises(CannotOptimise) as problem:
        read_samples(samples, read_model(model))
    return str(problem.value)


def test_samples_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    nan = images(40)
    nan[3, 1, 2, 2] = np.nan
    assert "not finite" in refused(tmp_path, image=nan)
    assert "has picture; the model takes image" in refused(tmp_path, picture=images(40))
    assert "the model takes float32 with 4 axes" in refused(tmp_path, image=images(40).astype(np.float64))
    assert "the model takes float32 with 4 axes" in refused(tmp_path, image=images(40)[:, :, :, 0])
    assert "the model takes ['any', 3, 8, 8]" in refused(tmp_path, image=images(40)[:, :, :, :4])
    assert "different numbers of samples: [39, 40]" in refused(tmp_path, image=images(40), labels=np.zeros(39))
    assert "3 samples; at least 4" in refused(tmp_path, image=images(3))


def test_pickles_are_not_read(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    assert "is not a file of numpy.savez" in refused(tmp_path, image=np.array([Trap()], object))
    assert not (tmp_path / "ran").exists()


def test_samples_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    model, samples = saved(tmp_path)
    whole = samples.read_bytes()
    for damaged in (b"", whole[:2000], b"\x93NUMPY" + whole, whole[:300] + b"\xff" * 300 + whole[600:]):
        samples.write_bytes(damaged)
        with pytest.raises(CannotOptimise):
            read_samples(samples, read_model(model))


def test_samples_beyond_what_is_read_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "MOST_BYTES", 1000)
    assert "at most 1000 are read" in refused(tmp_path, image=images(40))


def test_an_array_that_says_it_is_huge_is_refused(tmp_path: Path) -> None:
    model, samples = saved(tmp_path)
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "<f4", "fortran_order": False, "shape": (2**44, 3, 8, 8)})
    with zipfile.ZipFile(samples, "w") as archive:
        archive.writestr("image.npy", array.getvalue())
    with pytest.raises(CannotOptimise):
        read_samples(samples, read_model(model))
