"""Why a file of MXNet's is not taken."""


class CannotImport(ValueError):
    """The file is damaged, or says what no ONNX is written for; the message names the place and the reason."""
