"""``load``: from files, objects and the registry; what a model takes and what it says no to."""

from __future__ import annotations

import pickle
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from littoral.models import load
from littoral.models.registry.onnxfile import Tensor
from littoral.models.registry.refusal import BadModel, NoSuch, Untrue
from littoral.models.registry.signing import Signer
from littoral.models.remote import Unreachable
from littoral.models.runtime.loading import Model
from littoral.models.runtime.refusal import BadInput, ModelFailed
from littoral.models.runtime.session import DATATYPES, _Check
from tests.models import nets
from tests.models.clients import registered
from tests.support.served import Served


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Model:
    file = tmp_path_factory.mktemp("models") / "linear.onnx"
    file.write_bytes(nets.linear())
    return load(file, threads=1)


@pytest.fixture
def here(place: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process is like a function of the place; the folder of its cache."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, place.env[name])
    monkeypatch.setenv("LITTORAL_MODELS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_called_with_arrays_and_lists(linear: Model, tmp_path: Path) -> None:
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert linear(rows).tolist() == (rows * 2 + 1).tolist()
    assert linear([[1, 2, 3, 4]]).tolist() == [[3.0, 5.0, 7.0, 9.0]]
    assert linear.run({"x": rows})["y"].shape == (2, 4)
    assert [str(each) for each in linear.inputs] == ["x FP32[N, 4]"] and linear.version == ""
    (tmp_path / "two.tar.gz").write_bytes(nets.archive({"model.onnx": nets.two_inputs()}))
    two = load(str(tmp_path / "two.tar.gz"))
    answer = two(a=np.ones((2, 2), np.float32), b=np.ones((2, 2), np.float32), words=["eins", "zwei"])
    assert answer["sum"].tolist() == [[2.0, 2.0]] * 2 and answer["same"].tolist() == ["eins", "zwei"]
    with pytest.raises(BadInput, match="do not fit together: N is 2 and 3"):
        two(a=np.ones((2, 2), np.float32), b=np.ones((3, 2), np.float32), words=["eins", "zwei"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros((1, 4)), "FP64"),
        (np.zeros((1, 4), np.int64), "INT64"),
        (np.zeros((1, 3), np.float32), "shape"),
        (np.zeros(4, np.float32), "shape"),
        (np.full((1, 4), np.nan, np.float32), "NaN"),
        (np.full((1, 4), -np.inf, np.float32), "infinity"),
        (np.zeros((1025, 4), np.float32), "1025 rows"),
        ([["a", 1, 2, 3]], "x FP32"),
        ([[1, 2], [3]], "x FP32"),
        ({"x": 1}, "x FP32"),
    ],
)
def test_what_it_does_not_take(linear: Model, value: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        linear(value)


def test_large_numbers_are_no_infinity(linear: Model) -> None:
    """The sum of them is one, though."""
    rows = np.full((1024, 4), 3e38, np.float32)
    with np.errstate(over="ignore"):
        assert linear(rows).shape == (1024, 4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 8192, 8193, 12288, 10007])
def test_what_is_no_number_is_seen_wherever_it_is(dtype: Any, count: int) -> None:
    check = _Check(Tensor("x", DATATYPES[np.dtype(dtype)], ("N", count)), 10)
    for rows in (1, 2):
        good = np.full((rows, count), np.finfo(dtype).max, dtype)
        with np.errstate(over="ignore"):
            assert check.take(good) is good
        for at in {0, rows * count - 1}:
            for bad in (np.nan, np.inf, -np.inf):
                values = good.copy()
                values.flat[at] = bad
                with np.errstate(all="ignore"), pytest.raises(BadInput, match="NaN or an infinity"):
                    check.take(values)
    assert check.take(np.zeros((0, count), dtype)).shape == (0, count)


def test_what_is_looked_at_by_its_sum_makes_numpy_say_nothing() -> None:
    """So many numbers make no even lines."""
    check = _Check(Tensor("x", "FP32", ("N",)), 2_000_000)
    values = np.full(1_000_003, 3e38, np.float32)
    with np.errstate(all="raise"):
        assert check.take(values) is values
        values[:2] = np.inf, -np.inf
        with pytest.raises(BadInput, match="NaN or an infinity"):
            check.take(values)


def test_names_are_looked_at(linear: Model) -> None:
    with pytest.raises(BadInput, match="missing"):
        linear(y=[[1, 2, 3, 4]])
    with pytest.raises(BadInput, match="no input z"):
        linear.run({"x": [[1, 2, 3, 4]], "z": 1})
    with pytest.raises(BadInput, match="by name"):
        linear([[1, 2, 3, 4]], z=1)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    weights = tmp_path / "weights.bin"
    weights.write_bytes(np.eye(4, dtype=np.float32).tobytes())
    for data, said in (
        (pickle.dumps([1]), "pickle"),
        (b"", "empty"),
        (nets.linear()[:40], "not an ONNX"),
        (nets.external("weights.bin"), "external data"),
    ):
        file.write_bytes(data)
        with pytest.raises(BadModel, match=said):
            load(file)
    file.write_bytes(nets.linear().replace(b"Gemm", b"Gimm"))
    with pytest.raises(ModelFailed, match="Gimm"):
        load(file)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.onnx")
    file.write_bytes(nets.linear())
    with pytest.raises(ModelFailed, match="GPU"):
        load(file, gpu=True)


def test_of_the_registry(s3: Any, sagemaker: Any, here: Path) -> None:
    name = f"m-{uuid.uuid4().hex[:8]}"
    registered(s3, sagemaker, name, nets.linear())
    registered(s3, sagemaker, name, nets.linear(3.0))
    registered(s3, sagemaker, name, nets.linear(4.0), stage="PendingManualApproval")
    model = load(name)
    assert model.version == f"{name}/2" and model([[1, 1, 1, 1]]).tolist() == [[4.0] * 4]
    assert load(f"{name}/1")([[1, 1, 1, 1]]).tolist() == [[3.0] * 4]
    assert load(f"{name}/3").version == f"{name}/3"  # asked for by its number, to be evaluated
    (kept,) = [each for each in here.iterdir() if each.read_bytes() == nets.linear(3.0)]
    kept.write_bytes(nets.linear(9.0))  # a cache that somebody wrote into is not believed
    assert load(name)([[1, 1, 1, 1]]).tolist() == [[4.0] * 4] and kept.read_bytes() == nets.linear(3.0)
    assert load(f"s3://models/{name}.onnx")([[1, 1, 1, 1]]).tolist() == [[5.0] * 4]
    for nobody in (f"{name}/9", "nobody"):
        with pytest.raises(NoSuch):
            load(nobody)


def test_only_what_the_key_has_signed(
    s3: Any, sagemaker: Any, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"m-{uuid.uuid4().hex[:8]}"
    arn = registered(s3, sagemaker, name, nets.linear())
    key = sagemaker.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]["littoral.key"]
    assert load(name, key=key).version == f"{name}/1"
    with pytest.raises(Untrue):
        load(name, key=Signer.load_or_create(tmp_path / "another.key").public)
    monkeypatch.setenv("LITTORAL_MODELS_KEY", key)
    with pytest.raises(Untrue, match="not signed"):
        load(f"s3://models/{name}.onnx")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(Unreachable, match="AWS_ENDPOINT_URL"):
        load(name)
