"""Data streams with Kinesis' API: ordered shards of durable records. ``StreamStore`` is the capability.

A stream is a document and one store stream per shard. The API's classes are in ``api``; what functions' event source
mappings and destinations ask for is on the facade.
"""

from littoral.streams.facade import StreamStore

__all__ = ["StreamStore"]
