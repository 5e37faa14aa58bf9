"""The API of Amazon Kinesis Data Streams (2013-12-02): one class, split by noun.

Not here, and refused by name: resharding, enhanced fan-out consumers, encryption at rest by KMS, enhanced monitoring.
The throughput limits of a shard (1 MiB/s in, 2 MiB/s out) are not enforced: a shard takes what the disk takes.
"""

from littoral.streams.api.reading import ReadOperations
from littoral.streams.api.streams import StreamOperations
from littoral.streams.api.tags import TagOperations
from littoral.streams.api.writing import WriteOperations


class KinesisApi(StreamOperations, WriteOperations, ReadOperations, TagOperations):
    """All operations of botocore's service "kinesis" that Littoral has."""


__all__ = ["KinesisApi"]
