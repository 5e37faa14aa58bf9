"""LoggingConfig JSON: the platform's records and what Python and Node.js functions log; levels; a group of its own."""

from __future__ import annotations

import json
from typing import Any

from tests.functions.deploy import Answer, Place, call


def records(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.log if line.startswith("{")]


def types(answer: Answer) -> list[str]:
    return [each.get("type", each.get("level", each.get("log_level"))) for each in records(answer)]


PYTHON = """
import logging
log = logging.getLogger("ward")
def handler(event, context):
    print("plain")
    log.debug("unseen")
    log.info("bed %d", 7, extra={"bed": 7})
    try:
        {}["x"]
    except KeyError:
        log.exception("broken")
    if event == "raise":
        raise ValueError("out")
    if event == "exit":
        raise SystemExit(3)
    return 1
"""


async def test_python_logs_objects_between_platform_records(place: Place) -> None:
    made = await place.python(PYTHON, logging_config={"LogFormat": "JSON", "LogGroup": "wards"})
    config = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "wards"}
    assert made["LoggingConfig"] == config
    answer = await place.invoke()
    assert types(answer) == ["platform.start", "INFO", "ERROR", "platform.report"]
    assert answer.log[1] == "plain"  # what is printed stays what it is
    start, info, error, report = records(answer)
    request = start["record"]["requestId"]
    assert start["record"]["version"] == "$LATEST" and start["time"].endswith("Z")
    assert (info["message"], info["logger"], info["bed"], info["requestId"]) == ("bed 7", "ward", 7, request)
    assert (error["errorType"], error["errorMessage"], error["message"]) == ("KeyError", "'x'", "broken")
    assert error["stackTrace"] and "handler" in error["location"]
    metrics = report["record"]["metrics"]
    assert report["record"]["status"] == "success" and report["record"]["requestId"] == request
    assert metrics["memorySizeMB"] == 128 and metrics["initDurationMs"] > 0 and metrics["durationMs"] > 0
    group = await place.functions.logs.read("wards")
    assert any("bed 7" in event.message for event in group)
    opening = json.loads(group[0].message)
    assert opening["type"] == "platform.initStart" and opening["record"]["initializationType"] == "on-demand"
    assert opening["record"]["runtimeVersion"].startswith("python:3.11.v")


async def test_failures_are_told_in_the_report(place: Place) -> None:
    await place.python(PYTHON, logging_config={"LogFormat": "JSON"})
    answer = await place.invoke("raise")
    fault, _, report = records(answer)[-3:]
    assert (fault["level"], fault["errorType"], fault["errorMessage"]) == ("ERROR", "ValueError", "out")
    assert report["record"]["status"] == "error"
    answer = await place.invoke("exit")
    assert types(answer)[-2:] == ["platform.runtimeDone", "platform.report"]
    assert records(answer)[-1]["record"]["errorType"] == "Runtime.ExitError"
    assert records(answer)[-1]["record"]["status"] == "failure"


async def test_levels_choose_what_is_written(place: Place) -> None:
    quiet = {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": "WARN"}
    await place.python(PYTHON, logging_config=quiet)
    assert types(await place.invoke()) == ["ERROR"]
    loud = {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "DEBUG"}
    await place.api.update_function_configuration(call(), function_name="f", logging_config=loud)
    wanted = ["platform.start", "DEBUG", "INFO", "ERROR", "platform.runtimeDone", "platform.report"]
    assert types(await place.invoke()) == wanted
    await place.api.update_function_configuration(call(), function_name="f", logging_config={"LogFormat": "Text"})
    assert (await place.invoke()).log[0].startswith("START RequestId")


NODE = """
exports.handler = async (event) => {
  console.log('bed %d', 7);
  console.log({ bed: 7 });
  console.debug('unseen');
  console.error('bad', new TypeError('t'));
  const circle = {}; circle.self = circle; console.warn(circle);
  if (event === 'raise') throw new RangeError('out');
  return process.env.AWS_LAMBDA_LOG_FORMAT;
};
"""


async def test_node_logs_objects(place: Place) -> None:
    await place.node(NODE, logging_config={"LogFormat": "JSON"})
    answer = await place.invoke()
    assert answer.result == "JSON"
    assert types(answer) == ["platform.start", "INFO", "INFO", "ERROR", "WARN", "platform.report"]
    _, text, value, error, circle, _ = records(answer)
    assert (text["message"], value["message"]) == ("bed 7", {"bed": 7})
    assert (error["errorType"], error["errorMessage"]) == ("TypeError", "t") and error["stackTrace"]
    assert "[Circular" in circle["message"]
    last = records(await place.invoke("raise"))[-3]
    assert (last["level"], last["errorType"], last["errorMessage"]) == ("ERROR", "RangeError", "out")
