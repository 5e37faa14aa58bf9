"""Tables with DynamoDB's API: items by key, indexes, streams of changes. ``TableStore`` is the capability.

One SQLite file of its own: a write, its index entries and its stream record are one transaction (``index``,
``writing``).
The language of expressions is ``protocols.dynamodb``; the API's classes are in ``api``.
"""

from littoral.tables.facade import TableStore

__all__ = ["TableStore"]
