"""The facts about things, certificates and policies, and who is attached to whom."""

from littoral.things.registry.facts import Certificate, PolicyRecord, PolicyVersion, Thing, ThingType
from littoral.things.registry.registry import Registry

__all__ = ["Certificate", "PolicyRecord", "PolicyVersion", "Registry", "Thing", "ThingType"]
