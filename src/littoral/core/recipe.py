"""A Lambda function as a Greengrass component. Pure.

AWS turns ``lambdaFunction`` of CreateComponentVersion into a recipe of type ``aws.greengrass.lambda`` whose
DefaultConfiguration holds the execution parameters; a deployment merges its own configuration into that. The zip
is the artifact ``greengrass:lambda-artifact.zip``, its layers are further ones. What the launcher of AWS's core gets
from the cloud beside the recipe (runtime, handler, memory) stands in ours under ``Lifecycle`` / ``littoral``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from littoral.core.configuration import Update

LAMBDA = "aws.greengrass.lambda"
ARTIFACT = "lambda-artifact.zip"
LINUX: Mapping[str, str] = {"os": "linux"}
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
    "containerParams": {},
    "pubsubTopics": {},
}
ARGUMENTS = "execArgs"  # in the configuration: a list of texts
NO_ARGUMENTS = ("java", "dotnet")  # runtimes whose program is not the function's own
OWN = "littoral."  # begins the names of components that are Littoral's own
KIB, MIB = 1024, 1024 * 1024


class BadComponent(ValueError):
    """A component or configuration that Littoral cannot run as it says. ``codes``: AWS's, of a deployment that fails
    for it (``deploymenterrors``), the least specific first."""

    def __init__(self, reason: str, *codes: str) -> None:
        super().__init__(reason)
        self.codes = codes


def is_aws(name: str) -> bool:
    """Whether AWS alone makes components of such a name. Of ``aws.greengrass.labs.*`` it gives away the source, and
    everybody builds them for himself."""
    return name.startswith("aws.") and not name.startswith("aws.greengrass.labs.")


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
    arn: str = ""  # of the function's version
    binary: bool = False  # events and results are bytes, not JSON
    arguments: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False)  # its configuration by the recipe
    updates: tuple[Update, ...] = field(default=(), compare=False)  # and what deployments did to it, the oldest first


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
    platforms: Sequence[Mapping[str, str]] = (LINUX,),
) -> dict[str, Any]:
    """The recipe of a component version, of the function's configuration, ``componentLambdaParameters``, the SHA-256
    (base64) of its layers and the attributes of devices that it is for.

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
                "Platform": dict(attributes),
                "Artifacts": [
                    {"Uri": f"greengrass:{file}", "Digest": digest, "Algorithm": "SHA-256", "Unarchive": "ZIP"}
                    for file, digest in artifacts.items()
                ],
            }
            for attributes in platforms
        ],
        "Lifecycle": {"littoral": {key: function[key] for key in SHOWN if function.get(key) is not None}},
    }
    component_of(recipe)
    return recipe


def component_of(
    recipe: Mapping[str, Any], merge: str | None = None, updates: tuple[Update, ...] = ()
) -> LambdaComponent:
    """What to run, with a deployment's ``merge`` (JSON text) applied; ``updates`` is what it is made of. Raises
    BadComponent."""
    if recipe.get("ComponentType") != LAMBDA:
        raise BadComponent(f"{recipe.get('ComponentName')} is no Lambda component: Littoral's cores run no other yet")
    try:
        defaults = recipe["ComponentConfiguration"]["DefaultConfiguration"]
        shown = recipe["Lifecycle"]["littoral"]
        digest, *layers = [each["Digest"] for each in recipe["Manifests"][0]["Artifacts"]]
        function, function_version = function_of(recipe["ComponentSource"])
        name, version = recipe["ComponentName"], recipe["ComponentVersion"]
    except (KeyError, IndexError, TypeError, ValueError) as missing:
        raise BadComponent(f"the recipe lacks {missing}") from missing
    configuration = {**DEFAULTS, **merged(defaults, parse_merge(merge))}
    _check(name, configuration, shown.get("Runtime", ""))
    variables = dict((shown.get("Environment") or {}).get("Variables") or {})
    variables |= configuration["lambdaExecutionParameters"]["EnvironmentVariables"]
    config = {**shown, "Environment": {"Variables": variables}, "Timeout": configuration["timeoutInSeconds"]}
    if memory := configuration["containerParams"].get("memorySize"):
        config["MemorySize"] = -(-memory * KIB // MIB)
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
        arn=recipe["ComponentSource"],
        binary=configuration["inputPayloadEncodingType"] == "binary",
        arguments=tuple(configuration.get(ARGUMENTS, ())),
        defaults=defaults,
        updates=updates,
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
    given = process.get("containerParams") or {}
    configuration["containerMode"] = process.get("isolationMode") or ("GreengrassContainer" if given else "NoContainer")
    names = {"memorySizeInKB": "memorySize"}  # in a recipe, AWS calls it otherwise than in its API
    configuration["containerParams"] = {names.get(key, key): value for key, value in given.items()}
    if parameters.get("execArgs"):
        configuration[ARGUMENTS] = list(parameters["execArgs"])
    return configuration


def _check(name: str, configuration: Mapping[str, Any], runtime: str) -> None:
    """That what the core reads of it is of its type, and does what it says here. The rest is the component's own
    (``accessControl``, and what it asks for by GetConfiguration)."""
    for key, default in DEFAULTS.items():
        value = configuration[key]
        if type(value) is not type(default):
            raise BadComponent(f"{name}: {key} must be of type {type(default).__name__}")
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise BadComponent(f"{name}: {key} must be at least 1")
    if configuration["timeoutInSeconds"] > 2147483:
        raise BadComponent(f"{name}: timeoutInSeconds is too large")
    if configuration["inputPayloadEncodingType"] not in ("json", "binary"):
        raise BadComponent(f"{name}: inputPayloadEncodingType is json or binary")
    _check_container(name, configuration["containerMode"], configuration["containerParams"])
    _check_arguments(name, configuration.get(ARGUMENTS, []), runtime)
    variables = configuration["lambdaExecutionParameters"].get("EnvironmentVariables")
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise BadComponent(f"{name}: EnvironmentVariables must be texts by name")
    for source in configuration["pubsubTopics"].values():
        if not isinstance(source, dict) or source.get("type") not in ("PUB_SUB", "IOT_CORE"):
            raise BadComponent(f"{name}: an event source is a topic and a type, PUB_SUB or IOT_CORE")
        if not isinstance(source.get("topic"), str) or not source["topic"]:
            raise BadComponent(f"{name}: an event source has a topic")


def _check_container(name: str, mode: str, parameters: Mapping[str, Any]) -> None:
    """Every function is in the same sandbox, whatever the mode: with that of a container its memory may be set."""
    if mode not in ("NoContainer", "GreengrassContainer"):
        raise BadComponent(f"{name}: containerMode is NoContainer or GreengrassContainer")
    unserved = [key for key in sorted(parameters) if key != "memorySize" and parameters[key]]
    if unserved:
        raise BadComponent(f"{name}: Littoral's cores show functions nothing of the device ({', '.join(unserved)})")
    if "memorySize" not in parameters:
        return
    memory = parameters["memorySize"]
    if mode == "NoContainer":
        raise BadComponent(f"{name}: the memory of a container is set, and containerMode is NoContainer")
    if isinstance(memory, bool) or not isinstance(memory, int) or not 1 <= memory <= 2147483647:
        raise BadComponent(f"{name}: memorySize must be a number of KB")


def _check_arguments(name: str, arguments: Any, runtime: str) -> None:
    if not isinstance(arguments, list) or not all(isinstance(each, str) and "\0" not in each for each in arguments):
        raise BadComponent(f"{name}: {ARGUMENTS} must be a list of texts")
    if arguments and runtime.startswith(NO_ARGUMENTS):
        raise BadComponent(f"{name}: a function of {runtime} gets no {ARGUMENTS}")
