"""Logs of components in CloudWatch Logs of the region: by a real core, over a cable that can be cut."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from littoral.core.logmanager.configuration import NAME, Upload, settings_of
from littoral.core.logmanager.events import LARGEST, MOST_EVENTS, LogEvent, batches_of, events_of
from littoral.core.recipe import BadComponent
from littoral.core.refusal import Refused
from littoral.tour.link import Link as Cable
from tests.core.world import CORE, CorePlace, RegionPlace, until

TALKER = "com.example.Talker"
GROUP = f"/aws/greengrass/UserComponent/us-east-1/{TALKER}"
OFTEN = 0.05  # seconds between uploads


async def deploy(region: RegionPlace, **uploader: Any) -> str:
    merge = {"logsUploaderConfiguration": uploader, "periodicUploadIntervalSec": OFTEN}
    wanted = {NAME: {"componentVersion": "2.3.0", "configurationUpdate": {"merge": json.dumps(merge)}}}
    return await region.outcome(await region.deploy(**wanted, com__example__Talker={"componentVersion": "1.0.0"}))


async def talker(region: RegionPlace) -> None:
    """A component that says what is written to its file ``say``."""
    run = "touch say; exec tail -n +1 -f say"
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": TALKER,
        "ComponentVersion": "1.0.0",
        "Manifests": [{"Platform": {"os": "linux"}, "Lifecycle": {"run": run}}],
    }
    await region.role_alias()
    await region.call("greengrassv2", "create_component_version", inlineRecipe=yaml.safe_dump(recipe).encode())


def say(place: CorePlace, *lines: str) -> None:
    with (place.folder / "components" / "work" / TALKER / "say").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


async def told(region: RegionPlace, group: str = GROUP) -> list[str]:
    stream = time.strftime(f"/%Y/%m/%d/thing/{CORE}", time.gmtime())
    try:
        found = await region.call(
            "logs", "get_log_events", logGroupName=group, logStreamName=stream, startFromHead=True
        )
    except ClientError as problem:
        assert problem.response["Error"]["Code"] == "ResourceNotFoundException"
        return []
    return [each["message"] for each in found["events"]]


async def test_words_of_a_component_arrive_once_with_the_cable_out_meanwhile(
    region: RegionPlace, place: CorePlace, cable: Cable
) -> None:
    await talker(region)
    uploads = {"minimumLogLevel": "INFO", "deleteLogFileAfterCloudUpload": "true"}
    assert await deploy(region, componentLogsConfigurationMap={TALKER: uploads}) == "SUCCEEDED"
    say(place, "one", "two", "  of two", '{"level": "DEBUG", "message": "no"}', '{"level": "WARN", "message": "yes"}')

    async def arrived(count: int) -> list[str]:
        found = await told(region)
        return found if len(found) >= count else []

    wanted = ["one", "two\n  of two", '{"level": "WARN", "message": "yes"}']
    assert await until(lambda: arrived(3)) == wanted
    words = place.folder / "components" / "logs" / f"{TALKER}.log"

    async def noted() -> bool:
        kept = await place.store.records("core").get(f"logmanager/{TALKER}")
        return kept is not None and list(json.loads(kept.value).values()) == [words.stat().st_size]

    await until(noted)  # else it may come twice
    cable.cut()
    await until(lambda: not place.core.link.stats.connected)
    say(place, "three")
    await until(lambda: "three" in words.read_text())
    await place.stop()
    older = words.with_suffix(".log.1")
    words.rename(older)  # as it is when it is large
    (place.folder / "components" / "work" / TALKER / "say").unlink()
    await place.start()
    await until((place.folder / "components" / "work" / TALKER / "say").exists)
    say(place, "four")
    cable.restore()
    assert await until(lambda: arrived(5)) == [*wanted, "three", "four"]
    await until(lambda: not older.exists())  # it was sent, and is not to stay
    assert words.exists()


async def test_words_of_a_function_arrive_once_too_and_are_there_on_the_device(
    region: RegionPlace, place: CorePlace, cable: Cable, caplog: pytest.LogCaptureFixture
) -> None:
    name = "ward.Speaking"
    source = "def handler(event, context):\n    print('heard', event)\n"
    await region.role_alias()
    arn = await region.function(source=source)
    await region.component(arn, name, eventSources=[{"topic": "ask", "type": "PUB_SUB"}])
    merge = {
        "logsUploaderConfiguration": {
            "componentLogsConfigurationMap": {name: {"minimumLogLevel": "INFO", "diskSpaceLimit": 1}}
        },
        "periodicUploadIntervalSec": OFTEN,
    }
    wanted = {NAME: {"componentVersion": "2.3.0", "configurationUpdate": {"merge": json.dumps(merge)}}}
    assert (
        await region.outcome(await region.deploy(**wanted, ward__Speaking={"componentVersion": "1.0.0"})) == "SUCCEEDED"
    )

    async def heard() -> list[str]:
        group = f"/aws/greengrass/UserComponent/us-east-1/{name}"
        return [each for each in await told(region, group) if each.startswith("heard")]

    async def here() -> list[str]:
        return [each for each in (await place.core.operator.log(name, 100)).splitlines() if each.startswith("heard")]

    async def said(where: Any, count: int) -> bool:
        return len(await where()) == count

    await place.publish("ask", 1)
    await until(lambda: said(heard, 1))
    cable.cut()
    await until(lambda: not place.core.link.stats.connected)
    await place.publish("ask", 2)
    await until(lambda: said(here, 2))
    await place.stop()
    await place.start()
    cable.restore()
    await until(lambda: said(heard, 2))
    await place.publish("ask", 3)
    await until(lambda: said(heard, 3))
    assert await heard() == await here() == ["heard 1", "heard 2", "heard 3"]
    assert f"mean nothing for the function {name}" in caplog.text
    with pytest.raises(Refused, match="the core's own log"):
        await place.core.operator.log(NAME, 1)


async def test_the_core_s_own_log(region: RegionPlace, place: CorePlace) -> None:
    await talker(region)
    assert await deploy(region, systemLogsConfiguration={"uploadToCloudWatch": "true"}) == "SUCCEEDED"
    logging.getLogger("littoral.test").error("the pump is dry")
    group = "/aws/greengrass/GreengrassSystemComponent/us-east-1/System"

    async def arrived() -> bool:
        return "the pump is dry" in await told(region, group)

    await until(arrived)


def test_a_log_s_configuration() -> None:
    settings = settings_of(
        {
            "logsUploaderConfiguration": {
                "componentLogsConfigurationMap": {
                    "a": {"diskSpaceLimit": "2", "diskSpaceLimitUnit": "MB", "deleteLogFileAfterCloudUpload": "true"}
                }
            }
        }
    )
    assert settings.components == {"a": Upload(0, 2 * 1024**2, True)}


@pytest.mark.parametrize(
    "configuration",
    [
        {"periodicUploadIntervalSec": 0},
        {"logsUploaderConfiguration": []},
        {"logsUploaderConfiguration": {"componentLogsConfigurationMap": {"../x": {}}}},
        {"logsUploaderConfiguration": {"componentLogsConfigurationMap": {"a": {"logFileRegex": "x"}}}},
        {"logsUploaderConfiguration": {"componentLogsConfigurationMap": {"a": {"minimumLogLevel": "LOUD"}}}},
        {"logsUploaderConfiguration": {"componentLogsConfigurationMap": {"a": {"multiLineStartPattern": "("}}}},
        {"logsUploaderConfiguration": {"systemLogsConfiguration": {"uploadToCloudWatch": "maybe"}}},
    ],
)
def test_what_is_no_configuration(configuration: Any) -> None:
    with pytest.raises(BadComponent):
        settings_of(configuration)


def test_events_begin_where_the_pattern_says() -> None:
    start = settings_of(
        {
            "logsUploaderConfiguration": {
                "componentLogsConfigurationMap": {"a": {"multiLineStartPattern": "[0-9]{2}:[0-9]{2} "}}
            }
        }
    ).components["a"]
    data = b"half\n10:00 a\nmore\n10:01 b\n\n"
    assert [each.message for each in events_of(data, start, 5)] == ["half", "10:00 a\nmore", "10:01 b\n"]


def test_events_have_their_own_time_and_fit() -> None:
    long = "x" * (LARGEST + 5)
    data = f'{{"timestamp": 86400000, "message": "a"}}\n{long}\n{{"timestamp": "no"}}\n'.encode()
    found = events_of(data, Upload(), 7)
    assert [(each.at, len(each.message)) for each in found] == [(86_400_000, 39), (7, LARGEST), (7, 5), (7, 19)]
    assert [(day, len(batch)) for day, batch in batches_of(found)] == [("1970/01/01", 3), ("1970/01/02", 1)]
    many = [LogEvent(number, "x") for number in range(MOST_EVENTS + 1)]
    assert [len(batch) for _, batch in batches_of(many)] == [MOST_EVENTS, 1]
    large = [LogEvent(1, "x" * LARGEST)] * 5
    assert [len(batch) for _, batch in batches_of(large)] == [4, 1]
