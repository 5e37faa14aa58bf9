"""Provisioned concurrency: instances that are there before a call, and what is said of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from tests.functions.deploy import Place, call, place_in

SOURCE = (
    "import os, uuid\nme = uuid.uuid4().hex\n"
    "def handler(e, c): return [os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'], me]\n"
)


async def put(place: Place, qualifier: str, count: int) -> dict[str, Any]:
    return await place.api.put_provisioned_concurrency_config(
        call(), function_name="f", qualifier=qualifier, provisioned_concurrent_executions=count
    )


async def status(place: Place, qualifier: str, wanted: str) -> dict[str, Any]:
    """As soon as the allocation has that status."""
    while True:
        shown = await place.api.get_provisioned_concurrency_config(call(), function_name="f", qualifier=qualifier)
        if shown["Status"] == wanted:
            return shown
        await asyncio.sleep(0.005)


async def refusal(work: Any) -> tuple[str, str]:
    with pytest.raises(ServiceError) as caught:
        await work
    return caught.value.code, caught.value.message


async def test_instances_wait_outlive_the_idle_time_and_a_restart(tmp_path: Path) -> None:
    async with place_in(tmp_path, idle_seconds=0.05) as place:
        await place.python(SOURCE, publish=True)
        first = await put(place, "1", 2)
        assert first["RequestedProvisionedConcurrentExecutions"] == 2 and first["Status"] == "IN_PROGRESS"
        ready = await status(place, "1", "READY")
        assert ready["AllocatedProvisionedConcurrentExecutions"] == 2
        assert ready["AvailableProvisionedConcurrentExecutions"] == 2
        answer = await place.invoke(qualifier="1")
        assert answer.result[0] == "provisioned-concurrency" and "Init Duration" not in answer.report
        place.api._parts.scheduler.reap(1e12)
        assert place.api._parts.scheduler.warm(place.api._catalog.get("f").versions[1].key) == (2, 0)
        assert (await place.invoke()).result[0] == "on-demand"
    async with place_in(tmp_path) as place:
        assert (await status(place, "1", "READY"))["AllocatedProvisionedConcurrentExecutions"] == 2
        killed = (await place.invoke(qualifier="1")).result[1]
        place.api._parts.scheduler.retire("f", keep=set())  # all of them end, as when their processes were killed
        await status(place, "1", "READY")
        assert (await place.invoke(qualifier="1")).result[1] != killed
        await place.api.delete_provisioned_concurrency_config(call(), function_name="f", qualifier="1")
        place.api._parts.scheduler.reap(1e12)
        assert place.functions.stats()["idle"] == 0


async def test_an_alias_takes_its_instances_to_its_new_version(place: Place) -> None:
    await place.python(SOURCE, publish=True)
    await place.api.create_alias(call(), function_name="f", name="live", function_version="1")
    await put(place, "live", 1)
    await status(place, "live", "READY")
    await place.api.update_function_configuration(call(), function_name="f", timeout=5)
    await place.api.publish_version(call(), function_name="f")
    await place.api.update_alias(call(), function_name="f", name="live", function_version="2")
    await status(place, "live", "READY")
    assert (await place.invoke(qualifier="2")).result[0] == "provisioned-concurrency"
    listed = await place.api.list_provisioned_concurrency_configs(call(), function_name="f")
    (only,) = listed["ProvisionedConcurrencyConfigs"]
    assert only["FunctionArn"].endswith(":function:f:live") and only["Status"] == "READY"
    await place.api.delete_alias(call(), function_name="f", name="live")
    listed = await place.api.list_provisioned_concurrency_configs(call(), function_name="f")
    assert listed["ProvisionedConcurrencyConfigs"] == []


async def test_an_init_phase_that_fails_is_told(place: Place) -> None:
    await place.python("raise ValueError('no')", publish=True)
    await put(place, "1", 1)
    shown = await status(place, "1", "FAILED")
    assert shown["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
    assert shown["AllocatedProvisionedConcurrentExecutions"] == 0
    await place.api.delete_function(call(), function_name="f", qualifier="1")
    assert place.api._catalog.get("f").provisioned == {}


async def test_what_is_refused(tmp_path: Path) -> None:
    async with place_in(tmp_path, concurrency=20) as place:
        await place.python(SOURCE, publish=True)
        await place.api.create_alias(call(), function_name="f", name="live", function_version="1")
        await place.api.create_alias(call(), function_name="f", name="latest", function_version="$LATEST")
        wrong = "InvalidParameterValueException"
        for qualifier in ("$LATEST", "latest"):
            code, message = await refusal(put(place, qualifier, 1))
            assert code == wrong and "unpublished function versions" in message
        assert (await refusal(put(place, "9", 1)))[0] == "ResourceNotFoundException"
        code, message = await refusal(put(place, "1", 21))
        assert code == wrong and message.endswith("unreserved concurrency [20].")
        await place.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=2)
        code, message = await refusal(put(place, "1", 3))
        assert code == wrong and "reservedConcurrentExecution" in message
        get = place.api.get_provisioned_concurrency_config(call(), function_name="f", qualifier="1")
        assert (await refusal(get))[0] == "ProvisionedConcurrencyConfigNotFoundException"
        await put(place, "1", 1)
        code, message = await refusal(put(place, "live", 1))
        assert code == "ResourceConflictException"
        assert message == (
            "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
        )
        await place.api.delete_provisioned_concurrency_config(call(), function_name="f", qualifier="1")
        await put(place, "live", 2)
        code, message = await refusal(put(place, "1", 1))
        assert (code, message) == ("ResourceConflictException", "Version is pointed by a Provisioned Concurrency alias")
        less = place.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=1)
        assert await refusal(less) == (
            wrong,
            " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2].",
        )
