"""A web ACL compiled: its rules in the order of their priority, each a step; the first verdict ends the evaluation.

``compile_acl`` takes a **bundle**, which the region makes and the feed carries: the ACL's document, the sets and groups
that it refers to, the key of its tokens. Compilation happens once a change; a request only calls what it made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from littoral.edge.geo import Locator
from littoral.edge.waf.actions import Act, Context, act_of, kind_of
from littoral.edge.waf.challenge import Tokens
from littoral.edge.waf.counting import Counter, Counting
from littoral.edge.waf.fields import FINGERPRINTS
from littoral.edge.waf.labels import namespace
from littoral.edge.waf.ladder import Known, Ladder, Rung, Step
from littoral.edge.waf.ratekeys import key_of, told_of
from littoral.edge.waf.ratelimit import SlidingWindow
from littoral.edge.waf.reading import leaves_label, needs_label, reads
from littoral.edge.waf.statements import Compiler, Document, Test
from littoral.edge.waf.verdict import Mark, Verdict
from littoral.edge.waf.view import View
from littoral.edge.waf.work import Aside

DEFAULT_RULE = "Default_Action"
BODY_LIMITS = {"KB_16": 16384, "KB_32": 32768, "KB_48": 49152, "KB_64": 65536}
Managed = Callable[[Compiler, Document, Document], Step]  # statement, rule → step


@dataclass(slots=True)
class Limits:
    """The counters of rate-based rules, by rule; they outlive a change of the web ACL."""

    windows: dict[str, SlidingWindow] = field(default_factory=dict)

    def window(self, arn: str, rule: str, statement: Document) -> SlidingWindow:
        key = json.dumps([arn, rule, statement], sort_keys=True)
        seconds = float(statement.get("EvaluationWindowSec") or 300)
        return self.windows.setdefault(key, SlidingWindow(seconds))


@dataclass(frozen=True, slots=True)
class RateRule:
    """For GetRateBasedStatementManagedKeys."""

    rule: str
    group_rule: str  # the rule that refers to the group which this one is in, or ""
    limit: int
    window: SlidingWindow

    def blocked(self, now: float) -> list[Hashable]:
        return self.window.over(self.limit, now)


@dataclass(slots=True)
class WebAcl:
    """Judge with ``judge``; the view, with as many ``slots``, is the caller's to read afterwards."""

    arn: str
    name: str
    rules: Ladder
    default: Act
    slots: int
    body_limit: int
    needs_body: bool
    rates: list[RateRule]
    counting: Counting
    remembers: bool  # whether nothing but these depends on more than the request: no rule asks for a token
    passed: Verdict | None = None  # what requests got that no other rule matched
    fingerprints: bool = False  # whether a rule looks at the client's JA3 or JA4
    # What is remembered of heads like this one; of a bodyless request only.
    known: Callable[[View], Known | None] = field(init=False)

    def __post_init__(self) -> None:
        self.known = self.rules.known if self.remembers else lambda _view: None

    def judge(self, view: View, known: Known | None = None) -> Verdict:
        """``known`` is that of the request, where it may be remembered to pass."""
        verdict = self.rules.climb(view, known)
        if verdict is not None:
            return verdict
        made = self._default(view)
        if known is not None and not (view.matched or view.labels or view.inserted or made.reply):
            self.passed = made
            self.rules.pass_again(view, known)
        return made

    async def judge_aside(self, view: View, aside: Aside) -> Verdict:
        """The same of a long request, which shall not hold up others."""
        return await self.rules.climb_aside(view, aside) or self._default(view)

    def _default(self, view: View) -> Verdict:
        made = self.default(view)
        assert made is not None
        return made


def compile_acl(
    bundle: Document, *, limits: Limits | None = None, locator: Locator | None = None, managed: Managed | None = None
) -> WebAcl:
    """Raises NotThere, BadPattern, KeyError, ValueError for a bundle that the API would not have let through."""
    document = bundle["acl"]
    compiler = Compiler(bundle.get("addresses") or {}, bundle.get("expressions") or {}, locator)
    made = _Rules(bundle, compiler, limits or Limits(), managed)
    rungs = made.rungs(document.get("Rules") or (), made.context, "")
    counting = Counting(made.counting)
    rules = Ladder(rungs, harmless=counting.steps)
    mark = Mark(DEFAULT_RULE, document["VisibilityConfig"]["MetricName"], _sampled(document))
    default = act_of(document["DefaultAction"], mark, made.context)
    compiler.finish()
    limit = ((document.get("AssociationConfig") or {}).get("RequestBody") or {}).get("CLOUDFRONT") or {}
    return WebAcl(
        document["ARN"],
        document["Name"],
        rules,
        default,
        compiler.slots,
        BODY_LIMITS[limit.get("DefaultSizeInspectionLimit", "KB_16")],
        compiler.needs_body,
        made.rates,
        counting,
        not made.asks_for_tokens,
        fingerprints=_names_fingerprints([document, bundle.get("groups")]),
    )


def _names_fingerprints(document: Any) -> bool:
    """In a field to match or in a key of rates, anywhere."""
    if isinstance(document, Mapping):
        return not FINGERPRINTS.isdisjoint(document) or any(map(_names_fingerprints, document.values()))
    return isinstance(document, (list, tuple)) and any(map(_names_fingerprints, document))


def _sampled(document: Document) -> bool:
    return bool(document["VisibilityConfig"]["SampledRequestsEnabled"])


def _immunity(document: Document, member: str, otherwise: int = 300) -> int:
    found = ((document.get(member) or {}).get("ImmunityTimeProperty") or {}).get("ImmunityTime")
    return int(found) if found else otherwise


class _Rules:
    """The rules of one ACL and of its groups."""

    def __init__(self, bundle: Document, compiler: Compiler, limits: Limits, managed: Managed | None) -> None:
        document = bundle["acl"]
        self._bundle = bundle
        self._compiler = compiler
        self._limits = limits
        self._managed = managed
        self._arn = document["ARN"]
        self._account = bundle.get("account", "000000000000")
        self.rates: list[RateRule] = []
        self.counting: list[Counter] = []
        self.asks_for_tokens = False
        self.context = Context(
            namespace(self._account, "webacl", document["Name"]),
            document.get("CustomResponseBodies") or {},
            Tokens(bytes.fromhex(bundle.get("key") or "00"), document.get("TokenDomains") or ()),
            _immunity(document, "CaptchaConfig"),
            _immunity(document, "ChallengeConfig"),
        )

    def rungs(self, rules: Sequence[Document], context: Context, group: str) -> list[Rung]:
        return [self._rung(rule, context, group) for rule in sorted(rules, key=lambda each: int(each["Priority"]))]

    def _rung(self, rule: Document, context: Context, group: str) -> Rung:
        ((kind, setting),) = rule["Statement"].items()
        if kind == "RuleGroupReferenceStatement":
            return Rung(self._group(rule, setting))
        if kind == "ManagedRuleGroupStatement":
            return Rung(self._managed_group(rule, setting), long=True)
        context = replace(
            context,
            captcha_immunity=_immunity(rule, "CaptchaConfig", context.captcha_immunity),
            challenge_immunity=_immunity(rule, "ChallengeConfig", context.challenge_immunity),
        )
        labels = [context.namespace + each["Name"] for each in rule.get("RuleLabels") or ()]
        mark = _mark(rule, "REGULAR")
        if kind == "RateBasedStatement":
            mark = replace(mark, kind="RATE_BASED", rate=told_of(rule["Name"], setting, self._compiler.locator))
        act = act_of(rule["Action"], mark, context, labels)
        self.asks_for_tokens = self.asks_for_tokens or kind_of(rule["Action"]) in {"Captcha", "Challenge"}
        leaves = bool(labels) or leaves_label(rule["Statement"])
        if kind == "RateBasedStatement":
            return Rung(self._rate(rule["Name"], setting, act, context, group), labels=leaves)
        statement = rule["Statement"]
        test = self._compiler.test(statement, context.namespace)
        return Rung(act, test, reads(statement), leaves, needs_label(statement))

    def _rate(self, name: str, setting: Document, act: Act, context: Context, group: str) -> Step:
        scope: Test | None = None
        if setting.get("ScopeDownStatement"):
            scope = self._compiler.test(setting["ScopeDownStatement"], context.namespace)
        key, limit = key_of(setting, self._compiler.locator), int(setting["Limit"])
        by_address = scope is None and setting["AggregateKeyType"] == "IP"
        window = self._limits.window(self._arn, f"{group}/{name}", setting)
        self.rates.append(RateRule(name, group, limit, window))

        def step(view: View) -> Verdict | None:
            if scope is not None and not scope(view):
                return None
            found = key(view)
            if found is None or found is False:
                return None
            if found is True or window.hit(found, view.now) > limit:
                return act(view)
            return None

        def plain(view: View) -> Verdict | None:
            return act(view) if window.hit(view.ip, view.now) > limit else None

        chosen = plain if by_address else step
        self.counting.append(Counter(chosen, act, window, limit, by_address))
        return chosen

    def _group(self, rule: Document, setting: Document) -> Step:
        document = self._bundle["groups"][setting["ARN"]]
        rules = overridden(document.get("Rules") or (), setting)
        context = replace(
            self.context,
            namespace=namespace(self._account, "rulegroup", document["Name"]),
            bodies=document.get("CustomResponseBodies") or {},
        )
        first = len(self.counting)
        rungs = self.rungs(rules, context, rule["Name"])
        for each in self.counting[first:]:  # what they decide is the group's decision
            each.step, each.act = group_step(rule, "GROUP", each.step), group_step(rule, "GROUP", each.act)
        return group_step(rule, "GROUP", Ladder(rungs, labelled=True).climb)

    def _managed_group(self, rule: Document, setting: Document) -> Step:
        if self._managed is None:
            raise KeyError("managed rule groups are not there")
        inner = self._managed(self._compiler, setting, rule)
        scope: Test | None = None
        if setting.get("ScopeDownStatement"):
            scope = self._compiler.test(setting["ScopeDownStatement"], self.context.namespace)
        step = group_step(rule, "MANAGED_RULE_GROUP", inner)
        if scope is None:
            return step
        return lambda view: step(view) if scope(view) else None


def group_step(rule: Document, kind: str, judge: Step) -> Step:
    """A group as one rule of the ACL: its verdict counts as the rule's, or is counted only where that says so."""
    mark = _mark(rule, kind)
    counted = "Count" in (rule.get("OverrideAction") or {})

    def step(view: View) -> Verdict | None:
        verdict = judge(view)
        if verdict is None:
            return None
        if counted:
            view.matched.append(replace(mark, inner=verdict.mark.rule, rate=verdict.mark.rate))
            return None
        decided = verdict.mark
        return replace(verdict, mark=replace(mark, inner=decided.rule, action=decided.action, rate=decided.rate))

    return step


def overridden(rules: Sequence[Document], setting: Document) -> list[Document]:
    """A group's rules with the actions that the reference to it gives them; an excluded one counts."""
    actions: dict[str, Any] = {each["Name"]: {"Count": {}} for each in setting.get("ExcludedRules") or ()}
    actions |= {each["Name"]: each["ActionToUse"] for each in setting.get("RuleActionOverrides") or ()}
    return [{**rule, "Action": actions.get(rule["Name"], rule.get("Action"))} for rule in rules]


def _mark(rule: Document, kind: str) -> Mark:
    action = kind_of(rule["Action"]).upper() if rule.get("Action") else "COUNT"
    return Mark(rule["Name"], rule["VisibilityConfig"]["MetricName"], _sampled(rule), kind, action)
