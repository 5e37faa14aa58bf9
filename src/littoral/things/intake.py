"""From the broker to the rules: a tap for each active rule's filter, and Basic Ingest.

A message that several rules match is parsed once: its context is kept until the next message comes.
"""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import Awaitable, Callable

from littoral.protocols.iotsql import Context
from littoral.things.broker import Broker, LocalSubscriber
from littoral.things.duplicates import message_id
from littoral.things.message import Publication, PublishProperties
from littoral.things.rules import CompiledRule, RuleEngine
from littoral.things.rules.filters import matches

log = logging.getLogger(__name__)


class Intake:
    def __init__(self, broker: Broker, engine: RuleEngine, account: str) -> None:
        self._broker = broker
        self._engine = engine
        self._account = account
        self._taps: dict[str, LocalSubscriber] = {}
        self._last: tuple[Publication, Context] | None = None
        self.not_found = 0  # Basic Ingest for a rule that is not there or not active

    def open(self) -> None:
        self._engine.on_change(self._rule_changed)

    def _rule_changed(self, name: str, rule: CompiledRule | None) -> None:
        tap = self._taps.pop(name, None)
        if tap is not None:
            tap.close()
        if rule is not None and rule.topic_filter is not None:
            self._taps[name] = self._broker.tap(rule.topic_filter, self._callback(rule, rule.topic_filter))

    def _callback(self, rule: CompiledRule, topic_filter: str) -> Callable[[Publication], Awaitable[None] | None]:
        parent_matches = topic_filter.endswith("/#")  # for the broker's tree, not for AWS's rules

        def take(publication: Publication) -> Awaitable[None] | None:
            if parent_matches and not matches(topic_filter, publication.topic):
                return None
            context = self._context(publication)
            return self._engine.offer(rule, context, qos=publication.qos, message_id=message_id(publication))

        return take

    def directly(self, name: str, topic: str, publication: Publication) -> Awaitable[None] | None:
        """Basic Ingest. As in AWS a rule that is not there is logged and counted, and the sender acknowledged."""
        rule = self._engine.active(name)
        if rule is None:
            self.not_found += 1
            log.warning("Basic Ingest for rule %r, which does not exist or is disabled", name)
            self._engine.note("ERROR", "RuleNotFound", name, self._describe(publication, publication.topic))
            return None
        context = self._describe(publication, topic)
        return self._engine.offer(rule, context, qos=publication.qos, message_id=message_id(publication))

    def _context(self, publication: Publication) -> Context:
        if self._last is None or self._last[0] is not publication:
            self._last = (publication, self._describe(publication, publication.topic))
        return self._last[1]

    def _describe(self, publication: Publication, topic: str) -> Context:
        properties = publication.properties
        over_mqtt = bool(publication.client_id)
        session = self._broker.sessions.get(publication.client_id) if over_mqtt else None
        return Context(
            topic=topic,
            payload=publication.payload,
            timestamp=int((publication.received_at or self._broker.clock()) * 1000),
            client_id=publication.client_id if over_mqtt else None,
            principal=publication.principal or None,
            trace_id=str(uuid.uuid4()),
            source_ip=session.client.host if session is not None else None,
            account=self._account,
            user_properties=tuple(properties.user_properties) if properties is not None else (),
            mqtt_properties=_named(properties) if properties is not None else {},
        )


def _named(properties: PublishProperties) -> dict[str, str]:
    """As ``get_mqtt_property`` names them; correlation data in base64."""
    correlation, indicator = properties.correlation_data, properties.payload_format
    found = {
        "content_type": properties.content_type,
        "response_topic": properties.response_topic,
        "correlation_data": base64.b64encode(correlation).decode() if correlation is not None else None,
        "format_indicator": None if indicator is None else "UTF8_DATA" if indicator else "UNSPECIFIED_BYTES",
    }
    return {name: value for name, value in found.items() if value is not None}
