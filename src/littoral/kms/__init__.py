"""KMS: keys of this place that encrypt and decrypt small things, and wrap the keys of large ones (SSE-KMS)."""

from littoral.kms.facade import KeyStore

__all__ = ["KeyStore"]
