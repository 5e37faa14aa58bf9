"""Real-time log configurations: which fields of which share of requests go to which data stream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.parts import Operations, invalid, listing, page_of, plain
from littoral.edge.plan import items
from littoral.edge.realtime.fields import FIELDS
from littoral.store.documents import Document

KIND = "realtime-log-config"
MOST = 150  # an account ("Quotas")
NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
NOTES = "RoleARN is kept and not looked at; the field x-edge-mqcs is refused"


class Streams(Protocol):
    def accepts(self, arn: str) -> bool:
        """Whether such a data stream is here."""


class RealtimeLogOperations(Operations):
    """Create, get, update, delete, list."""

    streams: Streams | None = None  # of this place: None means that they are not looked at

    @operation(notes=NOTES)
    async def create_realtime_log_config(
        self,
        call: Call,
        *,
        end_points: list[dict[str, Any]],
        fields: list[str],
        name: str,
        sampling_rate: int,
    ) -> Output:
        document = {
            "ARN": f"arn:aws:cloudfront::{self._account}:realtime-log-config/{name}",
            "Name": name,
            "SamplingRate": sampling_rate,
            "EndPoints": plain({"all": end_points})["all"],
            "Fields": list(fields),
        }
        self._check_realtime(document)
        async with self._control.changing:
            if self._control.get(KIND, document["ARN"]) is not None:
                message = f"A real-time log configuration named {name} exists."
                raise ServiceError("RealtimeLogConfigAlreadyExists", message, status=409)
            if len(self._control.all(KIND)) >= MOST:
                message = f"There are {MOST} real-time log configurations already."
                raise ServiceError("TooManyRealtimeLogConfigs", message, status=400)
            await self._control.put(KIND, document["ARN"], {"config": document})
        return {"RealtimeLogConfig": document}

    @operation()
    async def get_realtime_log_config(self, call: Call, *, name: str | None = None, arn: str | None = None) -> Output:
        return {"RealtimeLogConfig": self._realtime(name, arn)}

    @operation(notes=NOTES)
    async def update_realtime_log_config(
        self,
        call: Call,
        *,
        end_points: list[dict[str, Any]] | None = None,
        fields: list[str] | None = None,
        name: str | None = None,
        arn: str | None = None,
        sampling_rate: int | None = None,
    ) -> Output:
        """What is not given stays."""
        async with self._control.changing:
            document = dict(self._realtime(name, arn))
            if end_points is not None:
                document["EndPoints"] = plain({"all": end_points})["all"]
            if fields is not None:
                document["Fields"] = list(fields)
            if sampling_rate is not None:
                document["SamplingRate"] = sampling_rate
            self._check_realtime(document)
            await self._control.put(KIND, document["ARN"], {"config": document})
        return {"RealtimeLogConfig": document}

    @operation()
    async def delete_realtime_log_config(
        self, call: Call, *, name: str | None = None, arn: str | None = None
    ) -> Output:
        async with self._control.changing:
            document = self._realtime(name, arn)
            for each in self._control.all("distribution").values():
                if document["ARN"] in realtime_logs(each["config"]):
                    message = f"The real-time log configuration is used by {each['id']}."
                    raise ServiceError("RealtimeLogConfigInUse", message, status=400)
            await self._control.delete(KIND, document["ARN"])
        return {}

    @operation()
    async def list_realtime_log_configs(
        self, call: Call, *, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        page, following = page_of(self._control.all(KIND), marker, max_items)
        shown = listing([each["config"] for each in page], marker, max_items, following)
        del shown["Quantity"]
        return {"RealtimeLogConfigs": shown}

    def _realtime(self, name: str | None, arn: str | None) -> Document:
        if not name and not arn:
            raise invalid("A real-time log configuration is meant by its Name or its ARN.")
        key = arn or f"arn:aws:cloudfront::{self._account}:realtime-log-config/{name}"
        found = self._control.get(KIND, key)
        if found is None or (name and found["config"]["Name"] != name):
            raise ServiceError("NoSuchRealtimeLogConfig", "The real-time log configuration does not exist.", status=404)
        config: Document = found["config"]
        return config

    def _check_realtime(self, config: Document) -> None:
        if not NAME.match(config["Name"]):
            raise invalid("The name has at most 64 letters, digits, hyphens and underscores.")
        if not 1 <= config["SamplingRate"] <= 100:
            raise invalid("SamplingRate is a whole number from 1 to 100.")
        unknown = [name for name in config["Fields"] if name not in FIELDS]
        if unknown:
            raise invalid(f"There is no field {unknown[0]} in real-time logs.")
        if not config["Fields"] or len(set(config["Fields"])) != len(config["Fields"]):
            raise invalid("A real-time log configuration has fields, each of them once.")
        if len(config["EndPoints"]) != 1 or config["EndPoints"][0]["StreamType"] != "Kinesis":
            raise invalid("A real-time log configuration has one endpoint, of type Kinesis.")
        stream = (config["EndPoints"][0].get("KinesisStreamConfig") or {}).get("StreamARN")
        if not stream or (self.streams is not None and not self.streams.accepts(stream)):
            raise invalid(f"The data stream {stream} does not exist.")


def realtime_logs(config: Mapping[str, Any]) -> set[str]:
    """The ARNs that a distribution's behaviours name."""
    behaviours = [config["DefaultCacheBehavior"], *items(config, "CacheBehaviors")]
    return {behaviour.get("RealtimeLogConfigArn") or "" for behaviour in behaviours} - {""}
