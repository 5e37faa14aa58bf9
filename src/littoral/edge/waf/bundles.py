"""What an edge location needs to enforce a web ACL: the ACL's document and everything it refers to, in one bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from littoral.edge.control import Control
from littoral.store.documents import Document

SIGNING = "tokens"  # the record of the key that tokens are signed with


def bundles(control: Control, digest: str | None = None) -> dict[str, Document]:
    """Of every web ACL that a distribution is behind, by ARN."""
    used = {each["config"].get("WebACLId") for each in control.all("distribution").values()}
    acls = control.all("waf-webacl")
    return {arn: bundle(control, acls[arn], digest) for arn in used if arn in acls}


def bundle(control: Control, entity: Mapping[str, Any], digest: str | None = None) -> Document:
    """Of one web ACL, stored or about to be."""
    acl = acl_document(entity)
    made: Document = {
        "account": entity["arn"].split(":")[4],
        "acl": acl,
        "addresses": {},
        "expressions": {},
        "groups": {},
    }
    secret = control.get("waf-secret", SIGNING)
    made["key"] = secret["key"] if secret else ""
    made["ruleset"] = digest if _uses_managed(acl.get("Rules") or []) else None
    logging = control.get("waf-logging", entity["arn"])
    made["logging"] = logging["configuration"] if logging else None
    _refer(control, acl.get("Rules") or [], made)
    return made


def _uses_managed(rules: list[Any]) -> bool:
    return any("ManagedRuleGroupStatement" in rule["Statement"] for rule in rules)


def acl_document(entity: Mapping[str, Any]) -> Document:
    return {**entity["document"], "Name": entity["name"], "ARN": entity["arn"]}


def _refer(control: Control, rules: list[Any], made: Document) -> None:
    for kind, arn in references(rules):
        found = control.get(f"waf-{kind}", arn)
        if found is None:
            raise KeyError(arn)
        document = found["document"]
        if kind == "ipset":
            made["addresses"][arn] = document["Addresses"]
        elif kind == "regexpatternset":
            made["expressions"][arn] = [each["RegexString"] for each in document["RegularExpressionList"]]
        else:
            made["groups"][arn] = {**document, "Name": found["name"]}
            _refer(control, document.get("Rules") or [], made)


_KINDS = {
    "IPSetReferenceStatement": "ipset",
    "RegexPatternSetReferenceStatement": "regexpatternset",
    "RuleGroupReferenceStatement": "rulegroup",
}


def references(document: Any) -> Iterator[tuple[str, str]]:
    if isinstance(document, list):
        for each in document:
            yield from references(each)
    elif isinstance(document, Mapping):
        for name, value in document.items():
            if name in _KINDS:
                yield _KINDS[name], value["ARN"]
            yield from references(value)
