"""What AWS refuses in a function's configuration, in its words. Pure.

The wire has checked types; here are the ranges and meanings that the model does not say, and what Littoral does not do:
such a member is refused unless it says "nothing", so that no outcome differs in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from littoral.aws.service import ServiceError
from littoral.functions import architecture
from littoral.functions.names import invalid
from littoral.functions.version import NETWORK, FunctionVersion

ENVIRONMENT_BYTES = 4096
_NAME = re.compile(r"[a-zA-Z]([a-zA-Z0-9_])+")
_ROLE = re.compile(r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
_LOG_GROUP = re.compile(r"[\.\-_/#A-Za-z0-9]{1,512}")
_RESERVED = frozenset(
    (
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    )
)


def validation_error(value: object, member: str, rule: str) -> ServiceError:
    return ServiceError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}",
        status=400,
    )


def check_configuration(
    *,
    role: str | None,
    handler: str | None,
    description: str | None,
    timeout: int | None,
    memory_size: int | None,
    ephemeral_storage: Mapping[str, Any] | None,
    **not_served: Any,
) -> None:
    """The members that CreateFunction and UpdateFunctionConfiguration share; None for those not sent."""
    check_not_served(**not_served)
    check_numbers(timeout, memory_size, ephemeral_storage)
    check_role(role)
    check_handler(handler)
    check_description(description)


def check_numbers(timeout: int | None, memory_size: int | None, ephemeral_storage: Mapping[str, Any] | None) -> None:
    if timeout is not None and not 1 <= timeout <= 900:
        raise validation_error(timeout, "timeout", "Member must have value less than or equal to 900")
    if memory_size is not None and not 128 <= memory_size <= 10240:
        raise validation_error(memory_size, "memorySize", "Member must have value between 128 and 10240")
    size = (ephemeral_storage or {}).get("Size")
    if size is not None and not 512 <= size <= 10240:
        raise validation_error(size, "ephemeralStorage.size", "Member must have value between 512 and 10240")


def check_role(role: str | None) -> None:
    if role is not None and not _ROLE.fullmatch(role):
        raise validation_error(role[:200], "role", f"Member must satisfy regular expression pattern: {_ROLE.pattern}")


def check_handler(handler: str | None) -> None:
    if handler is not None and (len(handler) > 128 or not re.fullmatch(r"\S+", handler)):
        raise validation_error(handler[:200], "handler", "Member must satisfy regular expression pattern: [^\\s]+")


def check_description(description: str | None) -> None:
    if description is not None and len(description) > 256:
        raise validation_error("…", "description", "Member must have length less than or equal to 256")


def environment_of(environment: Mapping[str, Any] | None) -> dict[str, str]:
    """The variables; raises InvalidParameterValueException for what Lambda would not take."""
    variables: dict[str, str] = dict((environment or {}).get("Variables") or {})
    start = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided"
    )
    reserved = sorted(_RESERVED & variables.keys())
    if reserved:
        raise invalid(
            f"{start} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            rule = (
                f"Map keys must satisfy constraint: [Member must satisfy regular expression pattern: {_NAME.pattern}]"
            )
            raise validation_error(f"{{{name[:100]}=…}}", "environment.variables", rule)
        if "\0" in value:
            raise invalid(f"{start} contain a NUL character in {name}")
    if variables.get(NETWORK, "on") not in ("on", "off"):
        raise invalid(f"{start} set {NETWORK} to something else than on or off")
    measured = json.dumps(variables, ensure_ascii=False, separators=(",", ":"))
    if variables and len(measured.encode()) > ENVIRONMENT_BYTES:
        raise invalid(f"{start} exceeded the 4KB limit. String measured: {measured}")
    return variables


def no_images() -> ServiceError:
    return invalid("Container images (PackageType Image) are not served by Littoral: bring a zip")


def check_not_served(**members: Any) -> None:
    """Members that change what happens and that Littoral does not do. None and empty ones say nothing."""
    refused: dict[str, Callable[[Any], bool]] = {
        "VpcConfig": lambda v: any(v.get(key) for key in ("SubnetIds", "SecurityGroupIds", "Ipv6AllowedForDualStack")),
        "PackageType": lambda v: v != "Zip",
    }
    if members.get("PackageType") == "Image":
        raise no_images()
    for member, value in members.items():
        if value and refused.get(member, bool)(value):
            raise invalid(f"{member} is not served by Littoral: the function would run without what it asks for")


def replica_group(version: FunctionVersion, region: str) -> str:
    """Where a replica of Lambda@Edge logs: the default group has the region before the name ("Edge function logs")."""
    own = version.log_group
    return f"/aws/lambda/{region}.{version.name}" if own == f"/aws/lambda/{version.name}" else own


def log_group_of(name: str, logging_config: Mapping[str, Any] | None) -> str:
    group = str((logging_config or {}).get("LogGroup") or f"/aws/lambda/{name}")
    if not _LOG_GROUP.fullmatch(group):
        raise validation_error(group[:200], "loggingConfig.logGroup", "Member must satisfy: [\\.\\-_/#A-Za-z0-9]+")
    return group


def architectures_of(architectures: list[str] | None) -> tuple[str, ...]:
    if architectures is None:
        return (architecture.default(),)
    if len(architectures) != 1 or architectures[0] not in ("x86_64", "arm64"):
        raise validation_error(architectures, "architectures", "Member must be one of [x86_64, arm64]")
    return (architectures[0],)


def check_tags(tags: Mapping[str, str] | None) -> None:
    for key in tags or {}:
        if not key or len(key) > 128 or key.lower().startswith("aws:"):
            raise invalid(f"The tag key '{key[:128]}' is not allowed: 1-128 characters, not beginning with aws:")
    if len(tags or {}) > 50:
        raise invalid("Number of tags exceeds resource tag limit.")
