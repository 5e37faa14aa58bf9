"""Log records of a web ACL, as "Log fields for web ACL traffic" (AWS WAF guide) has them: filtered, redacted.

Owns: what a record says and whether it is kept. Knows no destination.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from littoral.edge.waf.sampling import _token
from littoral.edge.waf.verdict import Mark, Verdict
from littoral.edge.waf.view import UNSET, View

Document = Mapping[str, Any]
REDACTED = "REDACTED"
PARTS = {"QUERY_ARGUMENT": "args", "QUERY_STRING": "args", "URI_PATH": "uri", "HTTP_METHOD": "method"}


def record(arn: str, source: str, request_id: str, view: View, verdict: Verdict, redacted: Document) -> dict[str, Any]:
    """One request."""
    mark = verdict.mark
    groups = [{"ruleGroupId": mark.rule, "terminatingRule": {"ruleId": mark.inner, "action": mark.action}}]
    made: dict[str, Any] = {
        "timestamp": int(view.now * 1000),
        "formatVersion": 1,
        "webaclId": arn,
        "terminatingRuleId": mark.rule,
        "terminatingRuleType": mark.kind,
        "action": verdict.action,
        "terminatingRuleMatchDetails": [],
        "httpSourceName": "CF",
        "httpSourceId": source,
        "ruleGroupList": groups if mark.inner else [],
        "rateBasedRuleList": [
            _rate(each.rate(view), redacted) for each in (mark, *view.matched) if each.rate is not None
        ],
        "nonTerminatingMatchingRules": [_counted(each) for each in view.matched],
        "requestHeadersInserted": [{"name": name, "value": value} for name, value in view.inserted] or None,
        "responseCodeSent": None if verdict.reply is None else verdict.reply.status,
        "httpRequest": _request(view, request_id, redacted),
    }
    if view.labels:
        made["labels"] = [{"name": label} for label in view.labels]
    if view.token is not UNSET and mark.action in {"CAPTCHA", "CHALLENGE"}:
        kind = mark.action.lower()
        said = _token(kind, view)
        names = {"ResponseCode": "responseCode", "SolveTimestamp": "solveTimestamp", "FailureReason": "failureReason"}
        made[f"{kind}Response"] = {names[name]: value for name, value in said.items()}
    return made


def _counted(mark: Mark) -> dict[str, Any]:
    return {"ruleId": mark.rule, "action": mark.action, "ruleMatchDetails": []}


def _rate(said: dict[str, Any], redacted: Document) -> dict[str, Any]:
    if "customValues" not in said:
        return said
    return {**said, "customValues": [_key_shown(each, redacted) for each in said["customValues"]]}


def _key_shown(part: dict[str, str], redacted: Document) -> dict[str, str]:
    """What is redacted in the request is so in a key that was made of it."""
    header = {"HEADER": part.get("name", "").lower(), "COOKIE": "cookie"}.get(part["key"], "")
    hidden = header.encode() in redacted.get("headers", ()) or redacted.get(PARTS.get(part["key"], ""))
    return {**part, "value": REDACTED} if hidden else part


def _request(view: View, request_id: str, redacted: Document) -> dict[str, Any]:
    headers = redacted.get("headers", frozenset())
    return {
        "clientIp": view.ip,
        "country": view.country or "-",
        "headers": [
            {"name": name.decode("latin-1"), "value": REDACTED if name in headers else value.decode("latin-1")}
            for name, value in view.raw
        ],
        "uri": REDACTED if redacted.get("uri") else view.path.decode("latin-1"),
        "args": REDACTED if redacted.get("args") else view.query.decode("latin-1"),
        "httpVersion": f"HTTP/{view.request.peer.http_version or view.request.http_version}",
        "httpMethod": REDACTED if redacted.get("method") else view.request.method,
        "requestId": request_id,
    }


def redactions(configuration: Document) -> dict[str, Any]:
    """RedactedFields, ready to be asked."""
    found: dict[str, Any] = {"headers": set()}
    for field in configuration.get("RedactedFields") or ():
        ((kind, setting),) = field.items()
        if kind == "SingleHeader":
            found["headers"].add(setting["Name"].lower().encode())
        else:
            found[{"UriPath": "uri", "QueryString": "args", "Method": "method"}[kind]] = True
    return found


def keeper(configuration: Document) -> Callable[[View, Verdict], bool]:
    """Whether a record is kept, by the LoggingFilter: the first filter whose conditions are met decides."""
    setting = configuration.get("LoggingFilter")
    if not setting:
        return lambda _view, _verdict: True
    filters = [
        (bool(each["Behavior"] == "KEEP"), each["Requirement"] == "MEETS_ALL", each["Conditions"])
        for each in setting["Filters"]
    ]
    otherwise = bool(setting["DefaultBehavior"] == "KEEP")

    def keep(view: View, verdict: Verdict) -> bool:
        actions = {verdict.action, *(mark.action for mark in view.matched)}
        for kept, every, conditions in filters:
            met = (_met(each, actions, view.labels) for each in conditions)
            if all(met) if every else any(met):
                return kept
        return otherwise

    return keep


def _met(condition: Document, actions: set[str], labels: list[str]) -> bool:
    if "ActionCondition" in condition:
        return str(condition["ActionCondition"]["Action"]) in actions
    return str(condition["LabelNameCondition"]["LabelName"]) in labels
