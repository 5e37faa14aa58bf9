"""A PyTorch model, trained eagerly, as an ONNX file that answers alike. Needs ``littoral[train]``.

The model's Python is traced by ``torch.export`` (no TorchScript) and written as ONNX with the batch left open; both are
asked the same at several batch sizes before the file appears.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

OPSET = 18
BATCHES = (1, 2, 5)  # asked of both, whatever the example's batch is


class Disagree(ValueError):
    """The exported model does not answer as the PyTorch one does, or cannot be exported; the message says how far."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """``difference``: the largest of any two answers, absolute. ``batches``: the sizes that were asked."""

    difference: float
    batches: tuple[int, ...]
    bytes: int


def export(
    model: Any,
    example: Mapping[str, np.typing.NDArray[Any]],
    file: Path,
    *,
    answers: Sequence[str] = ("output",),
    tolerance: float = 1e-5,
) -> Agreement:
    """Write ``file``; ``example`` names the inputs in the order of ``forward``, each with the batch as first axis.

    The example should be real data of at least two samples: it is what agreement is measured with. ``tolerance`` is
    absolute plus relative, as in ``numpy.isclose``. Raises Disagree, and then no file appears.
    """
    if not example or any(array.ndim < 1 or len(array) < 2 for array in example.values()):
        raise Disagree("the example needs every input, with a batch of at least two as its first axis")
    was_training = bool(model.training)
    model.eval()
    try:
        whole = _traced(model, example, answers)
        agreed = Agreement(_difference(model, whole, example, answers, tolerance), BATCHES, len(whole))
    finally:
        model.train(was_training)
    new = file.with_name(file.name + ".new")
    new.write_bytes(whole)
    new.replace(file)
    return agreed


def _traced(model: Any, example: Mapping[str, np.typing.NDArray[Any]], answers: Sequence[str]) -> bytes:
    tensors = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in example.values())
    batch = torch.export.Dim("batch")
    # By place and not by name: what forward calls its arguments need not be what the model's users call them.
    shapes = tuple({0: batch} for _ in tensors)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), torch.no_grad():
            program = torch.onnx.export(
                model,
                tensors,
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=list(example),
                output_names=list(answers),
                opset_version=OPSET,
                external_data=False,
            )
    except Exception as problem:
        raise Disagree(f"the model cannot be exported: {str(problem).strip().splitlines()[0]}") from problem
    assert program is not None  # where it is to be written to no file
    return bytes(program.model_proto.SerializeToString())


def _difference(
    model: Any,
    whole: bytes,
    example: Mapping[str, np.typing.NDArray[Any]],
    answers: Sequence[str],
    tolerance: float,
) -> float:
    """The largest of any two answers. Raises Disagree."""
    session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    largest = 0.0
    for batch in BATCHES:
        asked = {name: np.resize(array, (batch, *array.shape[1:])) for name, array in example.items()}
        try:
            with torch.no_grad():
                eager = model(*(torch.from_numpy(array) for array in asked.values()))
            exported = session.run(None, asked)
        except Exception as problem:  # whatever somebody's Python, or its trace, meets
            raise Disagree(f"the model does not take a batch of {batch}: {problem}") from problem
        eager = eager if isinstance(eager, tuple | list) else (eager,)
        for name, tensor, found in zip(answers, eager, exported, strict=True):
            far = _far(tensor.numpy(), found, tolerance)
            if far > 0:
                raise Disagree(f"{name} differs by {far:.3g} at a batch of {batch}; at most {tolerance:g} is allowed")
            largest = max(largest, float(np.max(np.abs(found - tensor.numpy()), initial=0)))
    return largest


def _far(wanted: np.typing.NDArray[Any], found: np.typing.NDArray[Any], tolerance: float) -> float:
    """The largest difference, where there is one beyond what is allowed; infinite where the shapes are others."""
    if wanted.shape != found.shape:
        return float("inf")
    if np.allclose(found, wanted, rtol=tolerance, atol=tolerance):
        return 0.0
    return float(np.max(np.abs(found - wanted)))
