"""The registry: models by name and version, with where they come from, what they are, and a signature.

version = await registry.register("ward", data, lineage=Lineage(training_job="ward-1"), metrics={"accuracy": 0.97})
data = await registry.data(version)          # checked against its digest
await registry.stage("ward", 1, "Approved")
"""

from littoral.models.registry.store import Registry
from littoral.models.registry.version import Lineage, Version

__all__ = ["Lineage", "Registry", "Version"]
