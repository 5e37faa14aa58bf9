"""Resource policies of functions: the statement that AddPermission makes, and who it lets in. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from littoral.functions.names import invalid

_ACTION = re.compile(r"lambda:[*]|lambda:[a-zA-Z]+|[*]")
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com")


def statement(
    sid: str,
    action: str,
    principal: str,
    resource: str,
    source_arn: str | None,
    source_account: str | None,
    url_auth_type: str | None = None,
    *,
    via_url: bool = False,
) -> dict[str, Any]:
    """Raises InvalidParameterValueException."""
    if not _ACTION.fullmatch(action):
        raise invalid(f"The provided action {action[:100]} is not a Lambda action")
    made: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": _principal(principal),
        "Action": action,
        "Resource": resource,
    }
    condition: dict[str, dict[str, str]] = {}
    if source_account:
        condition["StringEquals"] = {"AWS:SourceAccount": source_account}
    if url_auth_type:
        if action != "lambda:InvokeFunctionUrl":
            raise invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
        condition.setdefault("StringEquals", {})["lambda:FunctionUrlAuthType"] = url_auth_type
    if via_url:  # what AWS asks for beside InvokeFunctionUrl since October 2025
        if action != "lambda:InvokeFunction":
            raise invalid("InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action")
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": "true"}
    if source_arn:
        condition["ArnLike"] = {"AWS:SourceArn": source_arn}
    if condition:
        made["Condition"] = condition
    return made


def _principal(text: str) -> str | dict[str, str]:
    if text == "*":
        return "*"
    if _SERVICE.fullmatch(text):
        return {"Service": text}
    if re.fullmatch(r"\d{12}", text):
        return {"AWS": f"arn:aws:iam::{text}:root"}
    if re.fullmatch(r"arn:aws[a-z-]*:(iam|sts)::\d{12}:.+", text):
        return {"AWS": text}
    raise invalid("The provided principal was invalid. Please check the principal and try again.")


def allows(
    statements: Iterable[dict[str, Any]], *, service: str, source_arn: str | None, source_account: str | None
) -> bool:
    """Whether some statement lets ``service`` ("s3.amazonaws.com") invoke on behalf of the source."""
    return any(_allows(each, service, source_arn, source_account) for each in statements)


def allows_url(statements: Iterable[dict[str, Any]], auth_type: str) -> bool:
    """Whether some statement lets everybody call the function's URL of that AuthType. One that is for a source or an
    account lets nobody in: whoever calls a URL unsigned has neither."""
    for each in statements:
        condition = each.get("Condition", {})
        if condition not in ({}, {"StringEquals": {"lambda:FunctionUrlAuthType": auth_type}}):
            continue
        action = each["Action"] in ("lambda:InvokeFunctionUrl", "lambda:*", "*")
        if each["Principal"] == "*" and action:
            return True
    return False


def _allows(each: dict[str, Any], service: str, source_arn: str | None, source_account: str | None) -> bool:
    if each["Principal"] != "*" and each["Principal"].get("Service") != service:
        return False
    if each["Action"] not in ("lambda:InvokeFunction", "lambda:*", "*"):
        return False
    condition = each.get("Condition", {})
    if "Bool" in condition:  # calls by the function's URL only
        return False
    account = condition.get("StringEquals", {}).get("AWS:SourceAccount")
    if account is not None and account != source_account:
        return False
    pattern = condition.get("ArnLike", {}).get("AWS:SourceArn")
    return pattern is None or (source_arn is not None and arn_like(pattern, source_arn))


def arn_like(pattern: str, arn: str) -> bool:
    """IAM's ArnLike: the six parts compared one by one, each with ``*`` and ``?``."""
    wanted, given = pattern.split(":", 5), arn.split(":", 5)
    return len(wanted) == len(given) and all(_like(w, g) for w, g in zip(wanted, given, strict=True))


def _like(pattern: str, text: str) -> bool:
    form = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(form, text, re.DOTALL) is not None
