"""State and LastUpdateStatus while a function is really being made ready, and what is refused meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from littoral.functions.launcher import Launcher
from littoral.functions.version import FunctionVersion
from tests.functions.deploy import call, place_in, zip_of

ECHO = "def handler(e, c): return e"


class Gate:
    """Holds the real preparation back until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = asyncio.Event()
        self.open.set()
        real = Launcher.prepare

        async def prepare(launcher: Launcher, version: FunctionVersion) -> None:
            await self.open.wait()
            await real(launcher, version)

        monkeypatch.setattr(Launcher, "prepare", prepare)


async def conflict(work: Any, words: str) -> None:
    with pytest.raises(ServiceError, match=words) as caught:
        await work
    assert (caught.value.code, caught.value.status) == ("ResourceConflictException", 409)


async def test_a_new_function_is_pending_until_it_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    async with place_in(tmp_path, settle_seconds=0.0) as place:
        gate.open.clear()
        made = await place.python(ECHO, publish=True)
        assert (made["State"], made["StateReasonCode"], made["Version"]) == ("Pending", "Creating", "1")
        assert made["StateReason"] == "The function is being created."
        api, named = place.api, {"function_name": "f"}
        pending = "following state: Pending"
        await conflict(place.invoke(), pending)
        await conflict(api.invoke(call(), **named, invocation_type="Event"), pending)
        await conflict(api.update_function_code(call(), **named, zip_file=zip_of(app__py=ECHO)), pending)
        await conflict(api.update_function_configuration(call(), **named, timeout=5), pending)
        await conflict(api.publish_version(call(), **named), pending)
        gate.open.set()
        while (await api.get_function_configuration(call(), **named))["State"] != "Active":
            await asyncio.sleep(0)
        assert "StateReason" not in await api.get_function_configuration(call(), **named, qualifier="1")
        assert (await place.invoke(3)).result == 3


async def test_an_update_is_in_progress_and_calls_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    async with place_in(tmp_path, settle_seconds=0.0) as place:
        api, named = place.api, {"function_name": "f"}
        await place.python(ECHO)
        while (await api.get_function_configuration(call(), **named))["State"] != "Active":
            await asyncio.sleep(0)
        gate.open.clear()
        shown = await api.update_function_configuration(call(), **named, timeout=5)
        assert (shown["State"], shown["LastUpdateStatus"], shown["Timeout"]) == ("Active", "InProgress", 5)
        assert (await place.invoke(3)).result == 3
        await conflict(api.update_function_configuration(call(), **named, timeout=6), "An update is in progress")
        await conflict(api.publish_version(call(), **named), "An update is in progress for resource: arn:aws:lambda")
        gate.open.set()
        while (await api.get_function_configuration(call(), **named))["LastUpdateStatus"] != "Successful":
            await asyncio.sleep(0)
        await api.publish_version(call(), **named)


async def test_what_was_pending_when_the_place_ended_is_active_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    async with place_in(tmp_path, settle_seconds=0.0) as place:
        gate.open.clear()
        assert (await place.python(ECHO))["State"] == "Pending"
    gate.open.set()
    async with place_in(tmp_path) as place:
        assert (await place.api.get_function_configuration(call(), function_name="f"))["State"] == "Active"
        assert (await place.invoke(3)).result == 3
