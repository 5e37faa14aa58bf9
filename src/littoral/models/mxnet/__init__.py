"""Models that MXNet saved (``-symbol.json`` and ``.params``), read without MXNet and written as ONNX."""

from littoral.models.mxnet.importing import import_model
from littoral.models.mxnet.refusal import CannotImport

__all__ = ["CannotImport", "import_model"]
