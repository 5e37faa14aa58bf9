"""Managed rule groups: which parts of the Core Rule Set stand behind which name, and one of them as a step of an ACL.

AWS's own groups are not to be had; their names stand for what of the Core Rule Set covers the same ground, so that a
template that names them works. All rules of a group score together, and the group blocks at a score of five, as the
rule set means it: one critical match.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from littoral.edge.waf.actions import block_reply
from littoral.edge.waf.crs.program import Program
from littoral.edge.waf.crs.ruleset import Source
from littoral.edge.waf.statements import Compiler
from littoral.edge.waf.verdict import Mark, Verdict
from littoral.edge.waf.view import View

LIMIT = "INSPECTION_LIMIT"  # the rule that a request meets which costs more work than one may
log = logging.getLogger("littoral.edge")

LABELS = "awswaf:managed:owasp:crs:"


@dataclass(frozen=True, slots=True)
class Group:
    vendor: str
    name: str
    capacity: int
    description: str
    level: int = 1
    files: frozenset[int] | None = None  # numbers of the rule set's files; None is all


def _aws(name: str, capacity: int, description: str, *files: int) -> Group:
    return Group("AWS", name, capacity, f"{description} (the Core Rule Set's)", 1, frozenset(files) or None)


CATALOGUE = {
    (group.vendor, group.name): group
    for group in (
        *(
            Group("OWASP", f"CoreRuleSetPL{level}", 700, f"The OWASP Core Rule Set at paranoia level {level}", level)
            for level in (1, 2, 3, 4)
        ),
        _aws("AWSManagedRulesCommonRuleSet", 700, "Common attacks on web applications"),
        _aws("AWSManagedRulesSQLiRuleSet", 200, "SQL injection", 942),
        _aws("AWSManagedRulesKnownBadInputsRuleSet", 200, "Exploits of Java and of protocols", 921, 934, 944),
        _aws("AWSManagedRulesLinuxRuleSet", 200, "Local files and commands of Linux", 930, 932),
        _aws("AWSManagedRulesUnixRuleSet", 100, "Commands of Unix", 932),
        _aws("AWSManagedRulesWindowsRuleSet", 200, "Local files and commands of Windows", 930, 932),
        _aws("AWSManagedRulesPHPRuleSet", 100, "PHP injection", 933),
    )
}


class NoGroup(ValueError):
    """No such managed rule group is to be had; the message says why."""


def group_of(setting: Mapping[str, Any]) -> Group:
    """Of a ManagedRuleGroupStatement. Raises NoGroup."""
    found = CATALOGUE.get((setting["VendorName"], setting["Name"]))
    if found is None:
        raise NoGroup(f"there is no managed rule group {setting['VendorName']}/{setting['Name']} at this place")
    return found


def rule_name(identifier: int) -> str:
    return f"CRS_{identifier}"


class Groups:
    """Programs by group and what is overridden; each is compiled once (about a second)."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._programs: dict[tuple[str, frozenset[int]], Program] = {}

    def program(self, group: Group, quiet: frozenset[int] = frozenset()) -> Program:
        key = f"{group.level}/{sorted(group.files or ())}", quiet
        if key not in self._programs:
            files = group.files
            self._programs[key] = Program(
                self.source, group.level, selects=lambda number: files is None or number in files, quiet=quiet
            )
            for identifier, reason in self._programs[key].left_out.items():
                log.warning("rule %d of the Core Rule Set is left out: %s", identifier, reason[:200])
        return self._programs[key]

    def step(self, compiler: Compiler, setting: Mapping[str, Any], rule: Mapping[str, Any]) -> Any:
        """What ``webacl.Managed`` asks for."""
        group = group_of(setting)
        compiler.needs_body = True
        names = overridden_names(setting)
        program = self.program(group, frozenset(int(name[4:]) for name in names if name != LIMIT))
        reply, limited = block_reply({}), LIMIT not in names
        name, metric = rule["Name"], rule["VisibilityConfig"]["MetricName"]

        def blocked(inner: str) -> Verdict:
            return Verdict("BLOCK", Mark(inner, metric, True, action="BLOCK"), reply)

        def judge(view: View) -> Verdict | None:
            outcome = program.judge(view)
            if outcome.exhausted:
                view.labels.append(LABELS + LIMIT.lower())
                return blocked(LIMIT) if limited else None
            matched = [each for each in outcome.matched if each in program.decisive]
            view.labels.extend(f"{LABELS}{each}" for each in matched if f"{LABELS}{each}" not in view.labels)
            if not outcome.denied:
                return None
            return blocked(rule_name(matched[0]) if matched else name)

        return judge


def overridden_names(setting: Mapping[str, Any]) -> list[str]:
    """Rules of the group that count instead of scoring."""
    excluded = [each["Name"] for each in setting.get("ExcludedRules") or ()]
    return excluded + [each["Name"] for each in setting.get("RuleActionOverrides") or ()]
