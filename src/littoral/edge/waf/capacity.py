"""Web ACL capacity units: what a rule costs ("AWS WAF web ACL capacity units" of the developer guide)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Document = Mapping[str, Any]
ACL_LIMIT, GROUP_LIMIT = 5000, 1500
TRANSFORMATION = 10  # each, once for the same field and list of transformations
ALL_ARGUMENTS = 10
CUSTOM_KEY = 30
POSITION = {"EXACTLY": 2, "STARTS_WITH": 2, "ENDS_WITH": 2, "CONTAINS": 10, "CONTAINS_WORD": 10}

GroupCapacity = Callable[[Document], int]  # of the group that a statement refers to


def of_rules(rules: list[Document], group: GroupCapacity) -> int:
    return sum(of_statement(rule["Statement"], group) for rule in rules)


def of_statement(statement: Document, group: GroupCapacity) -> int:
    ((kind, setting),) = statement.items()
    if kind in {"AndStatement", "OrStatement"}:
        return sum(of_statement(each, group) for each in setting["Statements"])
    if kind == "NotStatement":
        return of_statement(setting["Statement"], group)
    if kind in {"RuleGroupReferenceStatement", "ManagedRuleGroupStatement"}:
        return int(group(statement)) + _scope(setting, group)
    if kind == "RateBasedStatement":
        return 2 + CUSTOM_KEY * len(setting.get("CustomKeys") or ()) + _scope(setting, group)
    if kind == "IPSetReferenceStatement":
        forwarded = setting.get("IPSetForwardedIPConfig") or {}
        return 5 if forwarded.get("Position") == "ANY" else 1
    if "FieldToMatch" not in setting:
        return 1  # geo, ASN, label
    return _field(kind, setting)


def _scope(setting: Document, group: GroupCapacity) -> int:
    scope = setting.get("ScopeDownStatement")
    return of_statement(scope, group) if scope else 0


def _field(kind: str, setting: Document) -> int:
    base: int = {
        "ByteMatchStatement": POSITION.get(setting.get("PositionalConstraint", ""), 10),
        "RegexMatchStatement": 3,
        "RegexPatternSetReferenceStatement": 25,
        "SizeConstraintStatement": 1,
        "SqliMatchStatement": 30 if setting.get("SensitivityLevel") == "HIGH" else 20,
        "XssMatchStatement": 40,
    }[kind]
    field = setting["FieldToMatch"]
    if "AllQueryArguments" in field:
        base += ALL_ARGUMENTS
    if "JsonBody" in field:
        base *= 2
    steps = [*(setting.get("TextTransformations") or ()), *(setting.get("PreParseTextTransformations") or ())]
    return base + TRANSFORMATION * len([step for step in steps if step["Type"] != "NONE"])
