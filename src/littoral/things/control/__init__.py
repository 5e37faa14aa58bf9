"""The API of botocore's service ``iot``, a file per noun, composed in ``api.Iot``."""

from littoral.things.control.api import Iot

__all__ = ["Iot"]
