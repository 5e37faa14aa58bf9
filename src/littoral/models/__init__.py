"""Models: kept, imported, made ready for a place, and served there.

from littoral.models import load

model = load("ward")                  # the newest approved version of the place's registry
answer = model(rows)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy and ONNX Runtime are loaded with the first model
    from littoral.models.runtime.loading import Model

__all__ = ["load"]


def load(
    source: str | Path,
    *,
    threads: int = 0,
    gpu: bool | None = None,
    key: str | None = None,
    most_rows: int = 1024,
) -> Model:
    """A model, in this process.

    ``source`` is a file (``model.onnx``, a path with a slash), ``s3://bucket/key``, or a model of the registry of the
    place that ``AWS_ENDPOINT_URL`` and the credentials of the environment name, as in every function: ``ward`` (the
    newest approved version) or ``ward/3``. What was fetched is checked against its digest and kept in
    ``LITTORAL_MODELS_CACHE`` (default: ``littoral-models`` in the folder for temporary files).

    ``threads``: of one call, 0 for one a processor; ``gpu``: None where ONNX Runtime offers one, True for never
    without, False for never; ``key`` (base64, or ``LITTORAL_MODELS_KEY``): take only versions signed by it;
    ``most_rows``: of one call. Raises BadModel, NoSuch, Untrue (``littoral.models.registry.refusal``), ModelFailed
    (``littoral.models.runtime.refusal``), OSError.
    """
    from littoral.models.runtime.loading import opened

    return opened(source, threads=threads, gpu=gpu, key=key, most_rows=most_rows)
