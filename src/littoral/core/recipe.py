"""A Lambda function as a Greengrass component. Pure.

AWS turns ``lambdaFunction`` of CreateComponentVersion into a recipe of type ``aws.greengrass.lambda`` whose
DefaultConfiguration holds the execution parameters; a deployment merges its own configuration into that. The zip
is the artifact ``greengrass:lambda-artifact.zip``, its layers are further ones. What the launcher of AWS's core gets
from the cloud beside the recipe (runtime, handler, memory) stands in ours under ``Lifecycle`` / ``littoral``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

LAMBDA = "aws.greengrass.lambda"
ARTIFACT = "lambda-artifact.zip"
LAYER = "layer-{}.zip"  # of the function's layers, counted from 1, the lowest first
SHOWN = ("Runtime", "Handler", "MemorySize", "Timeout", "Environment", "EphemeralStorage", "Architectures", "Layers")

DEFAULTS: Mapping[str, Any] = {
    "lambdaExecutionParameters": {"EnvironmentVariables": {}},
    "timeoutInSeconds": 3,
    "maxInstancesCount": 100,
    "maxQueueSize": 1000,
    "maxIdleTimeInSeconds": 60,
    "statusTimeoutInSeconds": 60,
    "pinned": True,
    "inputPayloadEncodingType": "json",
    "containerMode": "NoContainer",
    "pubsubTopics": {},
}


class BadComponent(ValueError):
    """A component or configuration that Littoral cannot run as it says."""


@dataclass(frozen=True, slots=True)
class EventSource:
    topic: str  # a filter
    type: Literal["PUB_SUB", "IOT_CORE"]


@dataclass(frozen=True, slots=True)
class LambdaComponent:
    """What a core needs to run one."""

    name: str
    version: str
    function: str
    function_version: str
    code_sha256: str  # base64
    layers: tuple[str, ...]  # SHA-256 of each in base64, the lowest first
    config: Mapping[str, Any]  # FunctionConfiguration, environment and time limit merged
    sources: tuple[EventSource, ...]
    instances: int
    queue: int
    pinned: bool
    idle: int  # seconds without work after which an instance is ended, where it is not pinned


def function_of(lambda_arn: str) -> tuple[str, str]:
    """Name and version of ``arn:aws:lambda:region:account:function:name:version``. Raises BadComponent."""
    parts = lambda_arn.split(":")
    if len(parts) != 8 or parts[2] != "lambda" or parts[5] != "function" or not parts[7].isdigit():
        raise BadComponent(f"{lambda_arn} is not the ARN of a published version of a function")
    return parts[6], parts[7]


def lambda_recipe(
    name: str,
    version: str,
    lambda_arn: str,
    function: Mapping[str, Any],
    parameters: Mapping[str, Any],
    layers: Sequence[str] = (),
) -> dict[str, Any]:
    """The recipe of a component version, of the function's configuration, ``componentLambdaParameters`` and the SHA-256
    (base64) of its layers.

    Raises BadComponent."""
    function_of(lambda_arn)
    artifacts = {ARTIFACT: function["CodeSha256"]}
    artifacts |= {LAYER.format(number): digest for number, digest in enumerate(layers, 1)}
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        "ComponentType": LAMBDA,
        "ComponentSource": lambda_arn,
        "ComponentPublisher": "AWS Lambda",
        "ComponentConfiguration": {"DefaultConfiguration": _configuration(parameters)},
        "Manifests": [
            {
                "Platform": {"os": "linux"},
                "Artifacts": [
                    {"Uri": f"greengrass:{file}", "Digest": digest, "Algorithm": "SHA-256", "Unarchive": "ZIP"}
                    for file, digest in artifacts.items()
                ],
            }
        ],
        "Lifecycle": {"littoral": {key: function[key] for key in SHOWN if function.get(key) is not None}},
    }
    component_of(recipe)
    return recipe


def component_of(recipe: Mapping[str, Any], merge: str | None = None) -> LambdaComponent:
    """What to run, with a deployment's ``merge`` (JSON text) applied. Raises BadComponent."""
    if recipe.get("ComponentType") != LAMBDA:
        raise BadComponent(f"{recipe.get('ComponentName')} is no Lambda component: Littoral's cores run no other yet")
    try:
        configuration = dict(recipe["ComponentConfiguration"]["DefaultConfiguration"])
        shown = recipe["Lifecycle"]["littoral"]
        digest, *layers = [each["Digest"] for each in recipe["Manifests"][0]["Artifacts"]]
        function, function_version = function_of(recipe["ComponentSource"])
        name, version = recipe["ComponentName"], recipe["ComponentVersion"]
    except (KeyError, IndexError, TypeError, ValueError) as missing:
        raise BadComponent(f"the recipe lacks {missing}") from missing
    configuration = merged(configuration, parse_merge(merge))
    _check(name, configuration)
    variables = dict((shown.get("Environment") or {}).get("Variables") or {})
    variables |= configuration["lambdaExecutionParameters"]["EnvironmentVariables"]
    config = {**shown, "Environment": {"Variables": variables}, "Timeout": configuration["timeoutInSeconds"]}
    return LambdaComponent(
        name=name,
        version=version,
        function=function,
        function_version=function_version,
        code_sha256=digest,
        layers=tuple(layers),
        config=config,
        sources=tuple(EventSource(each["topic"], each["type"]) for each in configuration["pubsubTopics"].values()),
        instances=configuration["maxInstancesCount"],
        queue=configuration["maxQueueSize"],
        pinned=configuration["pinned"],
        idle=configuration["maxIdleTimeInSeconds"],
    )


def parse_merge(merge: str | None) -> dict[str, Any]:
    """The object of a configurationUpdate's ``merge``. Raises BadComponent."""
    if not merge:
        return {}
    try:
        update = json.loads(merge)
    except ValueError as problem:
        raise BadComponent(f"the configuration to merge is not JSON: {problem}") from problem
    if not isinstance(update, dict):
        raise BadComponent("the configuration to merge is not a JSON object")
    return update


def merged(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Objects merge, everything else replaces: Greengrass's merge."""
    result = dict(base)
    for key, value in update.items():
        held = result.get(key)
        result[key] = merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return result


def _configuration(parameters: Mapping[str, Any]) -> dict[str, Any]:
    configuration = merged(DEFAULTS, {key: parameters[key] for key in DEFAULTS if parameters.get(key) is not None})
    configuration["lambdaExecutionParameters"] = {
        "EnvironmentVariables": dict(parameters.get("environmentVariables") or {})
    }
    configuration["pubsubTopics"] = {
        str(number): {"topic": source["topic"], "type": source["type"]}
        for number, source in enumerate(parameters.get("eventSources") or ())
    }
    process = parameters.get("linuxProcessParams") or {}
    configuration["containerMode"] = process.get("isolationMode") or "NoContainer"
    if process.get("containerParams"):
        raise BadComponent("containerParams: Littoral's cores give functions no container of their own yet")
    if parameters.get("execArgs"):
        raise BadComponent("execArgs are not passed to functions by Littoral's cores")
    return configuration


def _check(name: str, configuration: Mapping[str, Any]) -> None:
    """That every setting is known, of its type, and does what it says here."""
    unknown = set(configuration) - set(DEFAULTS)
    if unknown:
        raise BadComponent(f"{name}: the configuration {', '.join(sorted(unknown))} is not known to a Lambda component")
    for key, default in DEFAULTS.items():
        value = configuration[key]
        if type(value) is not type(default):
            raise BadComponent(f"{name}: {key} must be of type {type(default).__name__}")
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise BadComponent(f"{name}: {key} must be at least 1")
    if configuration["timeoutInSeconds"] > 2147483:
        raise BadComponent(f"{name}: timeoutInSeconds is too large")
    if configuration["inputPayloadEncodingType"] != "json":
        raise BadComponent(f"{name}: Littoral's cores give functions JSON only, not inputPayloadEncodingType=binary")
    if configuration["containerMode"] != "NoContainer":
        raise BadComponent(f"{name}: Littoral's cores run functions as NoContainer only")
    variables = configuration["lambdaExecutionParameters"].get("EnvironmentVariables")
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise BadComponent(f"{name}: EnvironmentVariables must be texts by name")
    for source in configuration["pubsubTopics"].values():
        if not isinstance(source, dict) or source.get("type") not in ("PUB_SUB", "IOT_CORE"):
            raise BadComponent(f"{name}: an event source is a topic and a type, PUB_SUB or IOT_CORE")
        if not isinstance(source.get("topic"), str) or not source["topic"]:
            raise BadComponent(f"{name}: an event source has a topic")
