"""A PyTorch model and its ONNX file answer alike, or there is no file. Needs torch, which no test run installs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from littoral.models.export import Disagree, export  # noqa: E402


def net() -> Any:
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv1d(1, 4, 5, stride=2, padding=2),
        torch.nn.BatchNorm1d(4),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(64, 2),
    )


def example(count: int = 4) -> dict[str, Any]:
    return {"pulse": np.random.default_rng(1).standard_normal((count, 1, 32)).astype(np.float32)}


def test_the_file_answers_as_the_trained_model_at_any_batch(tmp_path: Path) -> None:
    model = net()
    descent = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):  # eagerly
        loss = model(torch.from_numpy(example(8)["pulse"])).square().mean()
        descent.zero_grad()
        loss.backward()
        descent.step()
    agreed = export(model, example(), tmp_path / "net.onnx", answers=["scores"])
    assert agreed.difference < 1e-5
    assert model.training  # as it was before
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert [each.name for each in session.get_outputs()] == ["scores"]
    model.eval()
    for batch in (1, 7):
        asked = example(batch)
        wanted = model(torch.from_numpy(asked["pulse"])).detach().numpy()
        np.testing.assert_allclose(session.run(None, asked)[0], wanted, rtol=1e-4, atol=1e-5)


def test_several_inputs_and_answers_keep_their_names(tmp_path: Path) -> None:
    class Both(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, first: Any, second: Any) -> Any:
            return first + second, first * second

    two = {name: np.arange(6, dtype=np.float32).reshape(3, 2) + place for place, name in enumerate(("a", "b"))}
    export(Both(), two, tmp_path / "both.onnx", answers=["sum", "product"])
    session = onnxruntime.InferenceSession(tmp_path / "both.onnx")
    total, product = session.run(["sum", "product"], two)
    np.testing.assert_array_equal(total, two["a"] + two["b"])
    np.testing.assert_array_equal(product, two["a"] * two["b"])


def test_a_model_that_answers_otherwise_than_its_trace_has_no_file(tmp_path: Path) -> None:
    class Moody(torch.nn.Module):  # type: ignore[misc, name-defined]
        calls = 0

        def forward(self, given: Any) -> Any:
            Moody.calls += 1  # the trace keeps the number that it saw
            return given * float(Moody.calls)

    with pytest.raises(Disagree, match=r"scores differs by .* at most 1e-05 is allowed"):
        export(Moody(), example(), tmp_path / "moody.onnx", answers=["scores"])
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_is_fixed_in_the_model_is_no_file(tmp_path: Path) -> None:
    class Four(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, given: Any) -> Any:
            return given.reshape(4, 32).sum(dim=1)

    with pytest.raises(Disagree, match="the model does not take a batch of 1"):
        export(Four(), example(), tmp_path / "four.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_example_of_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Disagree, match="a batch of at least two"):
        export(net(), example(1), tmp_path / "net.onnx")
