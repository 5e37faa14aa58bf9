"""CloudFront Functions: two stages, DEVELOPMENT and LIVE, each with an ETag of its own; only what is LIVE runs."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.parts import Operations, check_quantities, invalid, listing, match_etag, page_of, plain
from littoral.edge.cffunctions.engine import MAX_CODE, DoesNotCompile, Engine, Ran, check
from littoral.edge.cffunctions.functions import CloudFrontFunctions
from littoral.edge.cffunctions.state import scripts_of, store_of
from littoral.edge.control import new_id
from littoral.edge.plan import items
from littoral.store.documents import Document

NAME = re.compile(r"^[a-zA-Z0-9-_]{1,64}$")
MOST_FUNCTIONS = 100  # "Quotas on CloudFront Functions"
MAX_EVENT = 40 * 1024  # bytes of a test's event object
DEVELOPMENT, LIVE = "DEVELOPMENT", "LIVE"


class FunctionOperations(Operations):
    """Create, update, publish, describe, get, test, list, delete."""

    @operation()
    async def create_function(
        self,
        call: Call,
        *,
        name: str,
        function_config: dict[str, Any],
        function_code: bytes,
    ) -> Output:
        if not NAME.match(name):
            raise invalid("The function name has 1 to 64 letters, digits, - or _.")
        async with self._control.changing:
            if self._control.get("function", name) is not None:
                raise ServiceError("FunctionAlreadyExists", f"A function named {name} exists.", status=409)
            if len(self._control.all("function")) >= MOST_FUNCTIONS:
                raise ServiceError("TooManyFunctions", f"An account may have {MOST_FUNCTIONS} functions.", status=400)
            stage = self._stage(function_config, function_code, call, created=call.now)
            document = {"name": name, "arn": self._arn(name), DEVELOPMENT: stage, LIVE: None, "revision": 0}
            await self._control.put("function", name, document, deploy=False)
            location = f"{call.base_url}/2020-05-31/function/{name}"
            return {
                "FunctionSummary": self._summary(document, DEVELOPMENT),
                "Location": location,
                "ETag": stage["etag"],
            }

    @operation()
    async def update_function(
        self, call: Call, *, name: str, function_config: dict[str, Any], function_code: bytes, if_match: str
    ) -> Output:
        """Changes DEVELOPMENT; viewers see it once it is published."""
        async with self._control.changing:
            document = dict(self._function(name))
            match_etag(document[DEVELOPMENT], if_match)
            stage = self._stage(function_config, function_code, call, created=document[DEVELOPMENT]["created"])
            document[DEVELOPMENT] = stage
            await self._control.put("function", name, document, deploy=False)
            return {"FunctionSummary": self._summary(document, DEVELOPMENT), "ETag": stage["etag"]}

    @operation()
    async def publish_function(self, call: Call, *, name: str, if_match: str) -> Output:
        """What is in DEVELOPMENT becomes LIVE, everywhere."""
        async with self._control.changing:
            document = dict(self._function(name))
            match_etag(document[DEVELOPMENT], if_match)
            before = document[LIVE] or {"created": call.now}
            document[LIVE] = {
                **document[DEVELOPMENT],
                "etag": new_id(),
                "created": before["created"],
                "modified": call.now,
                "published": document[DEVELOPMENT]["etag"],
            }
            await self._control.put("function", name, document)
            return {"FunctionSummary": self._summary(document, LIVE)}

    @operation()
    async def describe_function(self, call: Call, *, name: str, stage: str | None = None) -> Output:
        document, chosen = self._at(name, stage)
        return {"FunctionSummary": self._summary(document, chosen), "ETag": document[chosen]["etag"]}

    @operation()
    async def get_function(self, call: Call, *, name: str, stage: str | None = None) -> Output:
        document, chosen = self._at(name, stage)
        code = base64.b64decode(document[chosen]["code"])
        return {"FunctionCode": code, "ETag": document[chosen]["etag"], "ContentType": "application/octet-stream"}

    @operation()
    async def delete_function(self, call: Call, *, name: str, if_match: str) -> Output:
        async with self._control.changing:
            document = self._function(name)
            match_etag(document[DEVELOPMENT], if_match)
            using = [d["id"] for d in self._control.all("distribution").values() if document["arn"] in associated(d)]
            if using:
                raise ServiceError("FunctionInUse", f"The function is used by {', '.join(using)}.", status=409)
            await self._control.delete("function", name)
            return {}

    @operation()
    async def list_functions(
        self, call: Call, *, marker: str | None = None, max_items: str | None = None, stage: str | None = None
    ) -> Output:
        chosen = stage or DEVELOPMENT
        found = {name: each for name, each in self._control.all("function").items() if each.get(chosen) is not None}
        page, following = page_of(found, marker, max_items)
        listed = listing([self._summary(each, chosen) for each in page], marker, max_items, following)
        return {"FunctionList": {key: value for key, value in listed.items() if key not in {"Marker", "IsTruncated"}}}

    @operation()
    async def test_function(
        self, call: Call, *, name: str, event_object: bytes, if_match: str, stage: str | None = None
    ) -> Output:
        """Runs it here and now, for an event of the caller's making; nothing is logged or changed by it."""
        document, chosen = self._at(name, stage)
        match_etag(document[chosen], if_match)
        try:
            event = json.loads(event_object)
            if len(event_object) > MAX_EVENT or not isinstance(event, dict):
                raise ValueError("not an object")
        except ValueError as problem:
            raise invalid(f"The event object is not a JSON object of at most {MAX_EVENT} bytes.") from problem
        ran = self._try(document[chosen], event, call.now)
        output = _output(ran, event)
        return {
            "TestResult": {
                "FunctionSummary": self._summary(document, chosen),
                "ComputeUtilization": str(ran.utilisation),
                "FunctionExecutionLogs": ran.logs,
                "FunctionErrorMessage": ran.error or "",
                "FunctionOutput": output,
            }
        }

    def _try(self, stage: Document, event: Document, now: float) -> Ran:
        here = CloudFrontFunctions("test")
        ids = stores_of(stage["config"])
        here.use({}, {each: store_of(self._control.all("key-value-store")[each]) for each in ids})
        try:
            engine = Engine(base64.b64decode(stage["code"]).decode(), stage["config"]["Runtime"], ids)
        except DoesNotCompile as problem:
            return Ran(None, str(problem))
        return engine.call(json.dumps(event), now, "", here.lookup)

    # ------------------------------------------------------------------------------------------- parts

    def _stage(self, config: Document, code: bytes, call: Call, *, created: float) -> Document:
        """A stage's document. Raises ServiceError for what cannot be a function."""
        if len(code) > MAX_CODE:
            raise ServiceError(
                "FunctionSizeLimitExceeded", f"A function may have {MAX_CODE} bytes of code.", status=413
            )
        check_quantities(config)
        associations = items(config, "KeyValueStoreAssociations")
        if associations and config["Runtime"] != "cloudfront-js-2.0":
            raise invalid("A key value store needs the runtime cloudfront-js-2.0.")
        if len(associations) > 1:
            raise invalid("A function may be associated with one key value store.")
        for each in associations:
            if each["KeyValueStoreARN"].rpartition("/")[2] not in self._control.all("key-value-store"):
                raise invalid(f"The key value store {each['KeyValueStoreARN']} does not exist.")
        try:
            check(code, config["Runtime"])
        except DoesNotCompile as problem:
            raise invalid(str(problem)) from problem
        text = base64.b64encode(code).decode()
        return {"config": plain(config), "code": text, "etag": new_id(), "created": created, "modified": call.now}

    def _arn(self, name: str) -> str:
        return f"arn:aws:cloudfront::{self._account}:function/{name}"

    def _function(self, name: str) -> Document:
        document = self._control.get("function", name)
        if document is None:
            raise ServiceError("NoSuchFunctionExists", "The specified function does not exist.", status=404)
        return document

    def _at(self, name: str, stage: str | None) -> tuple[Document, str]:
        document, chosen = self._function(name), stage or DEVELOPMENT
        if document.get(chosen) is None:
            raise ServiceError("NoSuchFunctionExists", f"The function has no stage {chosen}.", status=404)
        return document, chosen

    def _summary(self, document: Document, stage: str) -> Output:
        at = document[stage]
        return {
            "Name": document["name"],
            "Status": self._function_status(document, stage),
            "FunctionConfig": at["config"],
            "FunctionMetadata": {
                "FunctionARN": document["arn"],
                "Stage": stage,
                "CreatedTime": at["created"],
                "LastModifiedTime": at["modified"],
            },
        }

    def _function_status(self, document: Document, stage: str) -> str:
        live = document[LIVE]
        if live is None or (stage == DEVELOPMENT and live["published"] != document[DEVELOPMENT]["etag"]):
            return "UNPUBLISHED"
        if not any(document["arn"] in associated(each) for each in self._control.all("distribution").values()):
            return "UNASSOCIATED"
        return "DEPLOYED" if self._control.deployed(document["revision"]) else "IN_PROGRESS"


def stores_of(config: Document) -> tuple[str, ...]:
    """The ids of the key-value stores that a function's configuration names."""
    found = items(config, "KeyValueStoreAssociations")
    return tuple(each["KeyValueStoreARN"].rpartition("/")[2] for each in found)


def associated(distribution: Document) -> set[str]:
    """The ARNs of the functions that a distribution's behaviours use."""
    return {arn for arn, _ in scripts_of(distribution["config"])}


def _output(ran: Ran, event: Document) -> str:
    if ran.result is None:
        return ""
    kind = "response" if "statusCode" in ran.result else "request"
    return json.dumps({kind: ran.result}, separators=(",", ":"))
