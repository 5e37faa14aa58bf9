"""Topic rules: what an author may ask for, the actions, and the engine that runs them at least once."""

from littoral.things.rules.actions import ObjectSink, Permits, Sinks
from littoral.things.rules.definition import CompiledRule, Metrics, RuleRecord
from littoral.things.rules.engine import RuleEngine

__all__ = ["CompiledRule", "Metrics", "ObjectSink", "Permits", "RuleEngine", "RuleRecord", "Sinks"]
