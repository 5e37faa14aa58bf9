"""The API of Amazon DynamoDB (2012-08-10): one class, split by noun. Its streams are ``api.streams``.

Not here, and refused by name: PartiQL (ExecuteStatement and its siblings), backups and point in time recovery,
global tables, exports and imports, contributor insights, resource policies, Kinesis destinations. Throughput is kept
and shown, and nothing is throttled by it.
"""

from littoral.tables.api.batches import BatchOperations
from littoral.tables.api.items import ItemOperations
from littoral.tables.api.queries import QueryOperations
from littoral.tables.api.settings import SettingOperations
from littoral.tables.api.tables import TableOperations
from littoral.tables.api.transactions import TransactionOperations


class DynamoDB(
    TableOperations, SettingOperations, ItemOperations, QueryOperations, BatchOperations, TransactionOperations
):
    """All operations of botocore's service "dynamodb" that Littoral has."""


__all__ = ["DynamoDB"]
