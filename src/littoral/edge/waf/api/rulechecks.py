"""Everything that can be wrong with a list of rules, before anything is stored.

Each rule of the model that its shapes cannot say: which statements may stand where, which actions belong to which,
what a reference must name, what a pattern must be. What passes is compiled once on trial, so that what is stored can
be enforced.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from littoral.aws.service import ServiceError
from littoral.edge.control import Control
from littoral.edge.waf import capacity
from littoral.edge.waf.actions import KINDS
from littoral.edge.waf.api.parts import exceeded, invalid, nonexistent
from littoral.edge.waf.api.sets import check_pattern
from littoral.edge.waf.crs.groups import LIMIT, Groups, NoGroup, group_of, overridden_names, rule_name
from littoral.edge.waf.statements import COMPARISONS

Document = Mapping[str, Any]
NOT_INSTALLED = (
    "The OWASP Core Rule Set is not installed at this place: install the package modsecurity-crs, or set waf_rules to "
    "the folder of a checkout."
)
GROUPS = ("RuleGroupReferenceStatement", "ManagedRuleGroupStatement")
TOP_ONLY = (*GROUPS, "RateBasedStatement")
WINDOWS = (60, 120, 300, 600)
MOST_LABELS = 10
LONGEST_SEARCH = 200  # bytes
PRE_PARSE_FIELDS = ("SingleQueryArgument", "AllQueryArguments")
REDACTABLE = ("SingleHeader", "UriPath", "QueryString", "Method")


class RuleChecks:
    """For one scope. ``groups`` are the managed rule groups, where there are any."""

    def __init__(self, control: Control, scope: str, groups: Groups | None) -> None:
        self._control = control
        self._scope = scope
        self._groups = groups

    def rules(self, rules: Sequence[Document], bodies: Mapping[str, Any], *, in_group: bool) -> int:
        """The capacity that they need. Raises ServiceError."""
        names = [rule["Name"] for rule in rules]
        priorities = [rule["Priority"] for rule in rules]
        for values, parameter in ((names, "Name"), (priorities, "Priority")):
            if len(set(values)) != len(values):
                raise invalid("Two rules have the same one", "RULE", parameter)
        for rule in rules:
            self._rule(rule, bodies, in_group)
        return capacity.of_rules(list(rules), self.group_capacity)

    def group_capacity(self, statement: Document) -> int:
        if "ManagedRuleGroupStatement" in statement:
            return self._managed(statement["ManagedRuleGroupStatement"])
        return int(self._referred("rulegroup", statement["RuleGroupReferenceStatement"]["ARN"])["document"]["Capacity"])

    def _managed(self, setting: Document) -> int:
        """Raises ServiceError for a group, version or rule that is not there."""
        try:
            group = group_of(setting)
        except NoGroup as problem:
            raise ServiceError("WAFNonexistentItemException", f"{str(problem).capitalize()}.") from problem
        if self._groups is None:
            raise ServiceError("WAFUnavailableEntityException", NOT_INSTALLED)
        if setting.get("Version") not in (None, self._groups.source.version):
            raise invalid("There is one version only", "MANAGED_RULE_SET_STATEMENT", setting["Version"])
        if any("Count" not in each["ActionToUse"] for each in setting.get("RuleActionOverrides") or ()):
            raise invalid("A rule that scores can be overridden to Count only", "RULE_ACTION", group.name)
        names = {LIMIT, *(rule_name(each) for each in self._groups.program(group).decisive)}
        for name in overridden_names(setting):
            if name not in names:
                raise invalid("The group has no rule of that name", "EXCLUDED_RULE", name)
        return group.capacity

    def _referred(self, noun: str, arn: str) -> Document:
        """Raises WAFNonexistentItemException, WAFInvalidParameterException for one of the other scope."""
        found = self._control.get(f"waf-{noun}", arn)
        if found is None:
            raise nonexistent()
        if found["scope"] != self._scope:
            raise invalid("The resource belongs to the other scope", "SCOPE_VALUE", arn)
        return found

    # ------------------------------------------------------------------------------------ rules

    def _rule(self, rule: Document, bodies: Mapping[str, Any], in_group: bool) -> None:
        kind = self.kind_of(rule["Statement"])
        if kind in GROUPS:
            if in_group:
                raise invalid("A rule group refers to no other group", "RULE_GROUP_REFERENCE_STATEMENT", rule["Name"])
            if rule.get("Action") or len(rule.get("OverrideAction") or {}) != 1:
                raise invalid("A rule that refers to a group has an OverrideAction", "OVERRIDE_ACTION", rule["Name"])
            if rule.get("RuleLabels"):
                raise invalid("A rule that refers to a group has no labels", "RULE", rule["Name"])
            self._group(kind, rule["Statement"][kind], bodies)
            return
        if rule.get("OverrideAction") or not rule.get("Action"):
            raise invalid("A rule has an Action", "RULE_ACTION", rule["Name"])
        check_action(rule["Action"], bodies, rule["Name"])
        if len(rule.get("RuleLabels") or ()) > MOST_LABELS:
            raise exceeded(f"{MOST_LABELS} labels of a rule")
        for label in rule.get("RuleLabels") or ():
            check_label(label["Name"])
        if kind == "RateBasedStatement":
            self._rate(rule["Statement"][kind])
        else:
            self.statement(rule["Statement"])

    def _group(self, kind: str, setting: Document, bodies: Mapping[str, Any]) -> None:
        self.group_capacity({kind: setting})
        for each in setting.get("RuleActionOverrides") or ():
            check_action(each["ActionToUse"], bodies, each["Name"])
        if kind == "RuleGroupReferenceStatement":
            rules = self._referred("rulegroup", setting["ARN"])["document"].get("Rules") or ()
            names = {rule["Name"] for rule in rules}
            for each in (*(setting.get("ExcludedRules") or ()), *(setting.get("RuleActionOverrides") or ())):
                if each["Name"] not in names:
                    raise invalid("The group has no rule of that name", "EXCLUDED_RULE", each["Name"])
        if setting.get("ManagedRuleGroupConfigs"):
            raise invalid("Settings of managed groups are not served", "MANAGED_RULE_GROUP_CONFIG", kind)
        if setting.get("ScopeDownStatement"):
            self.statement(setting["ScopeDownStatement"])

    def _rate(self, setting: Document) -> None:
        if (setting.get("EvaluationWindowSec") or 300) not in WINDOWS:
            raise invalid(
                "The window is 60, 120, 300 or 600", "RATE_BASED_STATEMENT", str(setting["EvaluationWindowSec"])
            )
        kind, custom = setting["AggregateKeyType"], setting.get("CustomKeys") or []
        forwarded = kind == "FORWARDED_IP" or any("ForwardedIP" in each for each in custom)
        if bool(setting.get("ForwardedIPConfig")) != forwarded:
            raise invalid("ForwardedIPConfig belongs to forwarded addresses", "FORWARDED_IP_CONFIG", kind)
        if (kind == "CUSTOM_KEYS") != bool(custom):
            raise invalid("CustomKeys belong to CUSTOM_KEYS", "CUSTOM_KEYS", kind)
        if kind == "CONSTANT" and not setting.get("ScopeDownStatement"):
            raise invalid("CONSTANT needs a scope-down statement", "SCOPE_DOWN", kind)
        for each in custom:
            self._custom_key(each)
        if setting.get("ScopeDownStatement"):
            self.statement(setting["ScopeDownStatement"])

    def _custom_key(self, key: Document) -> None:
        if len(key) != 1:
            raise invalid("A custom key is of one kind", "CUSTOM_KEYS", ",".join(key))
        (setting,) = key.values()
        if "TextTransformations" in setting:
            check_transformations(setting["TextTransformations"])

    # ------------------------------------------------------------------------------------ statements

    def kind_of(self, statement: Document) -> str:
        if len(statement) != 1:
            raise invalid("A statement is of exactly one kind", "STATEMENT", ",".join(statement))
        return next(iter(statement))

    def statement(self, statement: Document) -> None:
        """One that stands within a rule."""
        kind = self.kind_of(statement)
        setting = statement[kind]
        if kind in TOP_ONLY:
            raise invalid(f"{kind} stands at the top of a rule only", "STATEMENT", kind)
        if kind in {"AndStatement", "OrStatement"}:
            if len(setting["Statements"]) < 2:
                raise invalid("Two statements at least", kind.replace("Statement", "_STATEMENT").upper(), kind)
            for each in setting["Statements"]:
                self.statement(each)
        elif kind == "NotStatement":
            self.statement(setting["Statement"])
        elif "FieldToMatch" in setting:
            self._field_statement(kind, setting)
        else:
            self._fieldless(kind, setting)

    def _fieldless(self, kind: str, setting: Document) -> None:
        if kind == "IPSetReferenceStatement":
            self._referred("ipset", setting["ARN"])
        elif kind == "GeoMatchStatement":
            if not setting.get("CountryCodes"):
                raise invalid("Country codes are needed", "GEO_MATCH_STATEMENT", "CountryCodes")
        elif kind == "LabelMatchStatement":
            check_label(setting["Key"])
        elif kind != "AsnMatchStatement":
            raise invalid(f"{kind} is not implemented here", "STATEMENT", kind)

    def _field_statement(self, kind: str, setting: Document) -> None:
        check_field(setting["FieldToMatch"])
        check_transformations(setting["TextTransformations"])
        pre = setting.get("PreParseTextTransformations")
        if pre and not any(field in setting["FieldToMatch"] for field in PRE_PARSE_FIELDS):
            raise invalid("For query arguments only", "PRE_PARSE_TEXT_TRANSFORMATION", kind)
        check_transformations(pre or [])
        if kind == "ByteMatchStatement":
            text = setting["SearchString"]
            size = len(text if isinstance(text, bytes) else base64.b64decode(text))
            if not 0 < size <= LONGEST_SEARCH:
                raise invalid(f"A search string has 1 to {LONGEST_SEARCH} bytes", "BYTE_MATCH_STATEMENT", str(size))
        elif kind == "RegexMatchStatement":
            check_pattern(setting["RegexString"], "STATEMENT")
        elif kind == "RegexPatternSetReferenceStatement":
            self._referred("regexpatternset", setting["ARN"])
        elif kind == "SizeConstraintStatement" and setting["ComparisonOperator"] not in COMPARISONS:
            raise invalid("Unknown operator", "SIZE_CONSTRAINT_STATEMENT", setting["ComparisonOperator"])


def check_field(field: Document) -> None:
    if len(field) != 1:
        raise invalid("A field to match is exactly one", "FIELD_TO_MATCH", ",".join(field))
    ((kind, setting),) = field.items()
    pattern = (setting or {}).get("MatchPattern")
    if pattern is not None and len(pattern) != 1:
        names = {"Headers": "HEADER_MATCH_PATTERN", "Cookies": "COOKIE_MATCH_PATTERN"}
        raise invalid("A match pattern is exactly one", names.get(kind, "JSON_MATCH_PATTERN"), ",".join(pattern))


def check_transformations(steps: Sequence[Document]) -> None:
    if len(steps) > 10:
        raise exceeded("10 text transformations of a statement")
    if len({step["Priority"] for step in steps}) != len(steps):
        raise invalid("Two transformations have the same priority", "TEXT_TRANSFORMATION", "Priority")


def check_label(name: str) -> None:
    """Of a rule, or a key to look for."""
    words = set(name.lower().split(":")[:-1])
    reserved = {"awswaf", "aws", "waf", "rulegroup", "webacl", "regexpatternset", "ipset", "managed"}
    if not name.startswith("awswaf:") and words & reserved:
        raise invalid("The label holds a word that is reserved", "LABEL_MATCH_STATEMENT", name)


def check_action(action: Document, bodies: Mapping[str, Any], parameter: str, field: str = "RULE_ACTION") -> None:
    if len(action) != 1:
        raise invalid("An action is exactly one", field, parameter)
    ((kind, setting),) = action.items()
    if kind not in KINDS:
        raise ServiceError("WAFInvalidOperationException", f"The action {kind} is not implemented here.")
    custom = (setting or {}).get("CustomResponse") or {}
    key = custom.get("CustomResponseBodyKey")
    if key is not None and key not in bodies:
        raise invalid("There is no custom response body of that key", "CUSTOM_RESPONSE_BODY", key)
    names = [each["Name"].lower() for each in custom.get("ResponseHeaders") or ()]
    if len(names) != len(set(names)) or "content-type" in names:
        raise invalid("Header names differ, and content-type is none of them", "CUSTOM_RESPONSE", ",".join(names))
    handling = (setting or {}).get("CustomRequestHandling") or {}
    names = [each["Name"].lower() for each in handling.get("InsertHeaders") or ()]
    if len(names) != len(set(names)):
        raise invalid("Header names differ", "CUSTOM_REQUEST_HANDLING", ",".join(names))
