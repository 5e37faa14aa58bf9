"""What a bucket policy must be to be kept. ("Bucket policies for Amazon S3"; what S3 does not have, it refuses)"""

from __future__ import annotations

from littoral.objects.access.keys import known
from littoral.objects.access.needs import ACTIONS
from littoral.objects.errors import error
from littoral.protocols.iam.grammar import PolicyError
from littoral.protocols.iam.resourcepolicy import ResourcePolicy
from littoral.protocols.iam.wildcards import like

MOST = 20 * 1024  # bytes


def checked_policy(document: str, bucket: str) -> ResourcePolicy:
    """Raises MalformedPolicy."""
    try:
        if len(document.encode()) > MOST:
            raise PolicyError(f"Policy exceeds the maximum allowed document size: {MOST} bytes")
        policy = ResourcePolicy.parse(document)
        for action in policy.actions:
            if not any(action.fullmatch(name) for name in ACTIONS):
                raise PolicyError("Policy has invalid action: none that it names is an action of S3 here")
        for resource in policy.resources:
            if not _within(resource, bucket):
                raise PolicyError(f"Policy has invalid resource: {resource[:200]}")
        for key in sorted(policy.keys):
            if not known(key):
                raise PolicyError(f"Policy has an invalid condition key: {key}")
    except PolicyError as problem:
        raise error("MalformedPolicy", str(problem)) from problem
    return policy


def _within(resource: str, bucket: str) -> bool:
    """Whether it may name this bucket or something in it."""
    head = resource.partition("/")[0]
    return like(f"arn:aws:s3:::{bucket}", head) or ("${" in head and head.startswith("arn:aws:s3:::"))
