"""Statements compiled to functions of a view.

A ``Compiler`` belongs to one web ACL. String and expression matches of the same field and transformation chain are
gathered into one RE2 set (``patterns.PatternGroup``), which looks once a request however many rules ask; And, Or and
Not are plain calls. Knows nothing of actions.
"""

from __future__ import annotations

import base64
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from littoral.edge.geo import Locator, Nowhere, Whereabouts
from littoral.edge.waf import sqli, xss
from littoral.edge.waf.addresses import AddressSet, address_of, member_test
from littoral.edge.waf.detectors import Detector, OddTest
from littoral.edge.waf.fields import SizeTest, Values, looks_at_body, values_of
from littoral.edge.waf.labels import label_test
from littoral.edge.waf.patterns import PatternGroup, SetTest, literal
from littoral.edge.waf.plain import LONGEST, possible
from littoral.edge.waf.transformations import (
    LEAVES_QUERIES,
    LEAVES_WORDS,
    PRE_PARSE,
    WAF,
    Transformation,
    chain,
    none,
)
from littoral.edge.waf.view import View

Document = Mapping[str, Any]
Test = Callable[[View], bool]
COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "EQ": operator.eq,
    "NE": operator.ne,
    "LE": operator.le,
    "LT": operator.lt,
    "GE": operator.ge,
    "GT": operator.gt,
}


class NotThere(ValueError):
    """A statement that this place cannot carry out, or one that is no statement."""


def transform_of(document: Document, member: str = "TextTransformations") -> Transformation:
    """By priority. Raises KeyError for one that is unknown."""
    steps = sorted(document.get(member) or (), key=lambda each: int(each["Priority"]))
    return chain([step["Type"] for step in steps], PRE_PARSE if member.startswith("Pre") else WAF)


class Compiler:
    """``sets`` are the IP sets' addresses and regex sets' patterns by ARN; ``locator`` says where an
    address is."""

    def __init__(
        self,
        addresses: Mapping[str, Sequence[str]],
        expressions: Mapping[str, Sequence[str]],
        locator: Locator | None = None,
    ) -> None:
        self._addresses = {arn: AddressSet(blocks) for arn, blocks in addresses.items()}
        self._expressions = expressions
        self._locator = locator or Nowhere()
        self._groups: dict[str, PatternGroup] = {}
        self.slots = 0
        self.needs_body = False

    def finish(self) -> None:
        """Build the pattern sets; no statement may be compiled after it."""
        for group in self._groups.values():
            group.build()

    @property
    def locator(self) -> Locator:
        return self._locator

    def slot(self) -> int:
        """A place in ``View.slots`` for somebody's result."""
        self.slots += 1
        return self.slots - 1

    def test(self, statement: Document, namespace: str) -> Test:
        """Raises NotThere, BadPattern, KeyError for what is not there or wrong."""
        if len(statement) != 1:
            raise NotThere("a statement has exactly one kind")
        ((kind, setting),) = statement.items()
        nested = {"AndStatement": self._all, "OrStatement": self._any, "NotStatement": self._not}
        if kind in nested:
            return nested[kind](setting, namespace)
        if kind == "LabelMatchStatement":
            return label_test(setting["Scope"], setting["Key"], namespace)
        leaves: dict[str, Callable[[Document], Test]] = {
            "ByteMatchStatement": self._bytes,
            "RegexMatchStatement": self._regex,
            "RegexPatternSetReferenceStatement": self._regex_set,
            "SizeConstraintStatement": self._size,
            "SqliMatchStatement": self._sqli,
            "XssMatchStatement": self._xss,
            "IPSetReferenceStatement": self._address,
            "GeoMatchStatement": self._geo,
            "AsnMatchStatement": self._asn,
        }
        if kind not in leaves:
            raise NotThere(f"{kind} is not implemented here at this place of a rule")
        return leaves[kind](setting)

    # ------------------------------------------------------------------------------------ logic

    def _all(self, setting: Document, namespace: str) -> Test:
        tests = [self.test(each, namespace) for each in setting["Statements"]]
        if len(tests) == 2:
            first, second = tests
            return lambda view: first(view) and second(view)
        return lambda view: all(test(view) for test in tests)

    def _any(self, setting: Document, namespace: str) -> Test:
        tests = [self.test(each, namespace) for each in setting["Statements"]]
        if len(tests) == 2:
            first, second = tests
            return lambda view: first(view) or second(view)
        return lambda view: any(test(view) for test in tests)

    def _not(self, setting: Document, namespace: str) -> Test:
        test = self.test(setting["Statement"], namespace)
        return lambda view: not test(view)

    # ------------------------------------------------------------------------------------ fields and patterns

    def source(self, setting: Document) -> tuple[Values, Transformation]:
        """The values that a statement looks at, and what is done to them first."""
        field = setting["FieldToMatch"]
        self.needs_body = self.needs_body or looks_at_body(field)
        pre = transform_of(setting, "PreParseTextTransformations")
        times = len(setting.get("TextTransformations") or ()) + 1
        return values_of(field, None if pre is none else pre, times), transform_of(setting)

    def _group(self, setting: Document) -> PatternGroup:
        parts = [setting.get(name) for name in ("FieldToMatch", "TextTransformations", "PreParseTextTransformations")]
        key = json.dumps(parts, sort_keys=True)
        if key not in self._groups:
            values, transform = self.source(setting)
            self._groups[key] = PatternGroup(self.slot(), values, None if transform is none else transform)
        return self._groups[key]

    def _patterns(self, setting: Document, patterns: Sequence[bytes]) -> Test:
        group, bits = self._group(setting), 0
        for pattern in patterns:
            bits |= group.add(pattern)
        stays = _only(setting, LEAVES_QUERIES)
        return SetTest(group, bits, plain=not stays or any(possible(pattern) for pattern in patterns))

    def _bytes(self, setting: Document) -> Test:
        text = base64.b64decode(setting["SearchString"])
        return self._patterns(setting, [literal(text, setting["PositionalConstraint"])])

    def _regex(self, setting: Document) -> Test:
        return self._patterns(setting, [setting["RegexString"].encode()])

    def _regex_set(self, setting: Document) -> Test:
        return self._patterns(setting, [pattern.encode() for pattern in self._expressions[setting["ARN"]]])

    def _size(self, setting: Document) -> Test:
        values, transform = self.source(setting)
        compare, size = COMPARISONS[setting["ComparisonOperator"]], int(setting["Size"])
        plain = not _only(setting, LEAVES_QUERIES) or any(compare(length, size) for length in range(LONGEST + 1))
        return SizeTest(values, transform, lambda length: compare(length, size), plain=plain)

    def _sqli(self, setting: Document) -> Test:
        sensitive = setting.get("SensitivityLevel", "LOW") == "HIGH"
        return self._detector(setting, lambda value: sqli.is_sqli(value, sensitive=sensitive))

    def _xss(self, setting: Document) -> Test:
        return self._detector(setting, xss.is_xss)

    def _detector(self, setting: Document, detect: Callable[[bytes], bool]) -> Test:
        values, transform = self.source(setting)
        detector = Detector(detect, transform)
        # arguments of letters and digits that stay what they are can match no detector
        only_odd = _only(setting, LEAVES_WORDS) and "AllQueryArguments" in setting["FieldToMatch"]
        return OddTest(detector) if only_odd else detector.test(values)

    # ------------------------------------------------------------------------------------ addresses

    def _address(self, setting: Document) -> Test:
        return member_test(self._addresses[setting["ARN"]], setting.get("IPSetForwardedIPConfig"))

    def _geo(self, setting: Document) -> Test:
        codes = frozenset(setting["CountryCodes"])

        def known(where: Whereabouts) -> tuple[bool, Sequence[str]]:
            country, region = where.country or "XX", where.region or "XX"
            return where.country in codes, (f"geo:country:{country}", f"geo:region:{country}-{region}")

        return self._located(setting, known)

    def _asn(self, setting: Document) -> Test:
        numbers = frozenset(str(number) for number in setting["AsnList"])

        def known(where: Whereabouts) -> tuple[bool, Sequence[str]]:
            number = where.asn or "0"  # what nobody is known to own
            return number in numbers, (f"asn:{number}",)

        return self._located(setting, known)

    def _located(self, setting: Document, known: Callable[[Whereabouts], tuple[bool, Sequence[str]]]) -> Test:
        """By the place of an address; leaves labels that say it."""
        forwarded = setting.get("ForwardedIPConfig")
        address, locate = address_of(forwarded), self._locator.locate
        prefix = "awswaf:forwardedip:" if forwarded else "awswaf:clientip:"

        def test(view: View) -> bool:
            found = address(view)
            if not isinstance(found, str):
                return bool(found)
            where = locate(found)
            if not forwarded:
                view.country = where.country
            matches, labels = known(where)
            view.labels.extend(prefix + label for label in labels if prefix + label not in view.labels)
            return matches

        return test


def _only(setting: Document, names: frozenset[str]) -> bool:
    """Whether nothing else is done to what the statement looks at."""
    steps = {each["Type"] for each in setting.get("TextTransformations") or ()}
    return steps <= names and not setting.get("PreParseTextTransformations")
