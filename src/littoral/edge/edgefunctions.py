"""Which function versions may be triggers, by what their configuration asks for. Pure.

Sources: CloudFront developer guide, "Restrictions on Lambda@Edge" and "Quotas on Lambda@Edge".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Quota:
    memory: int  # MB
    timeout: int  # seconds
    code: int  # bytes of the zip


VIEWER = Quota(128, 5, 1 * MIB)
ORIGIN = Quota(10_240, 30, 50 * MIB)


def refusal(event_type: str, config: Mapping[str, Any]) -> str | None:
    """Why a version with this FunctionConfiguration cannot be used at that event; None where it can. Beside its own
    members it may say ReservedConcurrency and ProvisionedConcurrency."""
    quota = VIEWER if event_type.startswith("viewer-") else ORIGIN
    ways = (
        (config.get("PackageType", "Zip") != "Zip", "a container image"),
        (not str(config.get("Runtime")).startswith(("nodejs", "python")), f"the runtime {config.get('Runtime')}"),
        (bool((config.get("VpcConfig") or {}).get("SubnetIds")), "a VPC"),
        (bool((config.get("DeadLetterConfig") or {}).get("TargetArn")), "a dead-letter queue"),
        (bool((config.get("Environment") or {}).get("Variables")), "environment variables"),
        (bool(config.get("Layers")), "layers"),
        ((config.get("TracingConfig") or {}).get("Mode") == "Active", "active tracing"),
        ("arm64" in (config.get("Architectures") or ()), "the arm64 architecture"),
        ((config.get("EphemeralStorage") or {}).get("Size", 512) > 512, "more than 512 MB of ephemeral storage"),
        (bool(config.get("ReservedConcurrency")), "reserved concurrency"),
        (bool(config.get("ProvisionedConcurrency")), "provisioned concurrency"),
        (config.get("MemorySize", 128) > quota.memory, f"more than {quota.memory} MB of memory at {event_type}"),
        (config.get("Timeout", 3) > quota.timeout, f"a timeout of more than {quota.timeout} seconds at {event_type}"),
        (config.get("CodeSize", 0) > quota.code, f"more than {quota.code // MIB} MB of code at {event_type}"),
    )
    asked = [what for asked, what in ways if asked]
    return f"Lambda@Edge does not support {', '.join(asked)}" if asked else None
