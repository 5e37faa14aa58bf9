"""Whether a distribution's additional metrics are asked for. They are kept always, and shown by Prometheus."""

from __future__ import annotations

from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.parts import Operations, plain
from littoral.store.documents import Document

KIND = "monitoring"
NOTES = "kept and shown; the metrics of every distribution are at /metrics, whatever it says"


class MonitoringOperations(Operations):
    """Create, get, delete."""

    @operation(notes=NOTES)
    async def create_monitoring_subscription(
        self, call: Call, *, distribution_id: str, monitoring_subscription: dict[str, Any]
    ) -> Output:
        async with self._control.changing:
            self._found(distribution_id)
            if self._control.get(KIND, distribution_id) is not None:
                message = "The distribution has a monitoring subscription."
                raise ServiceError("MonitoringSubscriptionAlreadyExists", message, status=409)
            document = {"subscription": plain(monitoring_subscription)}
            await self._control.put(KIND, distribution_id, document, deploy=False)
        return {"MonitoringSubscription": document["subscription"]}

    @operation()
    async def get_monitoring_subscription(self, call: Call, *, distribution_id: str) -> Output:
        return {"MonitoringSubscription": self._subscription(distribution_id)["subscription"]}

    @operation()
    async def delete_monitoring_subscription(self, call: Call, *, distribution_id: str) -> Output:
        async with self._control.changing:
            self._subscription(distribution_id)
            await self._control.delete(KIND, distribution_id)
        return {}

    def _subscription(self, distribution: str) -> Document:
        self._found(distribution)
        document = self._control.get(KIND, distribution)
        if document is None:
            message = "The distribution has no monitoring subscription."
            raise ServiceError("NoSuchMonitoringSubscription", message, status=404)
        return document
