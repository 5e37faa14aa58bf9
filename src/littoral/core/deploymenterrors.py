"""Why a deployment has failed, in AWS's codes: from the least specific to the most, and the kinds of these. Pure.

A BadComponent or Declined carries the codes of what happened; ``failed`` puts the stack together. Source: "Detailed
deployment error codes" in the AWS IoT Greengrass V2 guide.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence

from littoral.core.recipe import BadComponent

FAILURE, REJECTED = "DEPLOYMENT_FAILURE", "DEPLOYMENT_REJECTED"
DOWNLOAD, VERSION, UPDATE = "ARTIFACT_DOWNLOAD_ERROR", "NO_AVAILABLE_COMPONENT_VERSION", "COMPONENT_UPDATE_ERROR"
BROKEN, BOOTSTRAP = "COMPONENT_BROKEN", "COMPONENT_BOOTSTRAP_ERROR"
CONFIGURATION = "COMPONENT_CONFIGURATION_NOT_VALID"
RECIPE, RUN_WITH = "RECIPE_PARSE_ERROR", "RUN_WITH_CONFIG_NOT_VALID"
CIRCULAR = "COMPONENT_CIRCULAR_DEPENDENCY_ERROR"
NOT_FOUND = "RESOURCE_NOT_FOUND"
MISMATCH = "ARTIFACT_CHECKSUM_MISMATCH"
UNREAD = "IO_ERROR", "IO_READ_ERROR"
UNKNOWN = "UNKNOWN_ERROR"
NO_VERSION = VERSION, "COMPONENT_VERSION_REQUIREMENTS_NOT_MET"

_TYPES: Mapping[str, str] = {
    "ACCESS_DENIED": "PERMISSION_ERROR",
    MISMATCH: "COMPONENT_RECIPE_ERROR",
    "BAD_REQUEST": "NUCLEUS_ERROR",
    BOOTSTRAP: "USER_COMPONENT_ERROR",
    "COMPONENT_BOOTSTRAP_TIMEOUT": "USER_COMPONENT_ERROR",
    BROKEN: "USER_COMPONENT_ERROR",  # of AWS's own, which the core plays, none is ever broken
    CIRCULAR: "REQUEST_ERROR",
    CONFIGURATION: "REQUEST_ERROR",
    "COMPONENT_METADATA_NOT_VALID_IN_DEPLOYMENT": "REQUEST_ERROR",
    "COMPONENT_VERSION_NOT_VALID": "COMPONENT_RECIPE_ERROR",
    "COMPONENT_VERSION_REQUIREMENTS_NOT_MET": "REQUEST_ERROR",
    "CONFLICTED_REQUEST": "REQUEST_ERROR",
    "DEPLOYMENT_DOCUMENT_PARSE_ERROR": "CLOUD_SERVICE_ERROR",
    UNREAD[1]: "DEVICE_ERROR",
    "IO_UNZIP_ERROR": "DEVICE_ERROR",
    "NETWORK_ERROR": "NETWORK_ERROR",
    RECIPE: "COMPONENT_RECIPE_ERROR",
    NOT_FOUND: "REQUEST_ERROR",
    RUN_WITH: "REQUEST_ERROR",
}
_ANSWERED = {403: "ACCESS_DENIED", 404: NOT_FOUND, 409: "CONFLICTED_REQUEST"}
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,254}")
MOST = 255  # of each list; AWS's own limit


def answered(status: int) -> tuple[str, str]:
    """The place above has refused with that status (4xx)."""
    return "CLOUD_API_ERROR", _ANSWERED.get(status, "BAD_REQUEST")


def types_of(stack: Sequence[str]) -> tuple[str, ...]:
    """The kinds of a stack's codes, each once; of one that fits none it is told that it is not known."""
    found = dict.fromkeys(_TYPES[code] for code in stack if code in _TYPES)
    if not found and UPDATE in stack:
        return ("COMPONENT_ERROR",)
    return tuple(found) or ((UNKNOWN,) if stack else ())


@contextlib.contextmanager
def coded(*codes: str) -> Iterator[None]:
    """What goes wrong in here is that, where it says nothing of its own."""
    try:
        yield
    except BadComponent as problem:
        problem.codes = problem.codes or codes
        raise


def written(codes: Sequence[str]) -> str:
    """In a job's details, which are texts: as AWS's nucleus writes a list there."""
    return f"[{', '.join(codes)}]" if codes else ""


def read(value: object) -> list[str]:
    """A list, or such a text, of whom a device says that it is one."""
    if isinstance(value, str):
        value = value.strip("[]").split(", ")
    if not isinstance(value, list):
        return []
    return [each for each in value[:MOST] if isinstance(each, str) and _CODE.fullmatch(each)]
