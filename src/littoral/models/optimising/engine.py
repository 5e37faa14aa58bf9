"""ONNX Runtime as it is used here: one thread, one provider, its errors as one kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _state

from littoral.models.optimising.opening import first_line
from littoral.models.optimising.refusal import CannotOptimise

ENGINE_ERRORS: Final[tuple[type[Exception], ...]] = (
    ValueError,
    *(kind for kind in vars(_state).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)
FATAL = 4  # ONNX Runtime's severity: what goes wrong is raised, and not written to standard error as well


def session(model: onnx.ModelProto | Path, *, optimised: Path | None = None) -> Any:
    """A session on one thread of the CPU. With ``optimised`` its graph, optimised, is written there.

    That graph has no layout of one CPU in it (level "extended"): what a CPU's own layout gains, the place that loads
    it still gains. Raises CannotOptimise.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    if optimised is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(optimised)
    whole = str(model) if isinstance(model, Path) else model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(whole, options, providers=["CPUExecutionProvider"])
    except ENGINE_ERRORS as problem:
        raise CannotOptimise(f"ONNX Runtime does not take the model: {first_line(problem)}") from problem


def answers(made: Any, asked: dict[str, Any]) -> list[Any]:
    """Raises CannotOptimise."""
    try:
        return list(made.run(None, asked))
    except ENGINE_ERRORS as problem:
        raise CannotOptimise(f"the model does not answer: {first_line(problem)}") from problem
