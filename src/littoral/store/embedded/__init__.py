"""The engine on one machine: SQLite for records and streams, files for blobs, one folder for all."""

from littoral.store.embedded.store import EmbeddedStore

__all__ = ["EmbeddedStore"]
