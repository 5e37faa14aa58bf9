"""Secrets Manager: named secrets with versions and stages, encrypted at rest by a key of the place."""

from littoral.secrets.facade import SecretStore

__all__ = ["SecretStore"]
