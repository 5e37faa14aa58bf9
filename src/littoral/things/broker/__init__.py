"""The MQTT broker: connections, sessions, subscriptions, retained messages, wills.

================  ======================================================================
``broker``        ``Broker``: what the place uses; lifecycle. ``fanout``: one message to all
``connection``    one socket; ``scanning``: the hot path over a whole read
``connecting``    CONNECT; ``subscribing``: SUBSCRIBE; ``handling``: everything else
``leaving``       the client is away: its session waits or ends, its will
``session``       one client's window and queue; ``sessions``: all of them, durably
``backlog``       the QoS 1 and 2 messages of a durable session, on disk
``exactly``       QoS 2 of one connection; ``ledger``: what a session must remember of it
``router``        for one topic, who gets what; ``tree``: which filters match
``batch``         what must be durable before PUBACK
``retained``      the last message of a topic; ``outbound``: a message's encodings
``local``         subscribers and taps in this process; ``limits``: bounds and profiles
================  ======================================================================

Refuses to know: certificates and policies (``littoral.things.access``), shadows and rules (``reserved`` and ``tap``).
"""

from littoral.things.broker.batch import NotStored
from littoral.things.broker.broker import Broker
from littoral.things.broker.limits import PROFILES, BrokerLimits, Profile
from littoral.things.broker.local import LocalSubscriber
from littoral.things.broker.retained import RetainedFull

__all__ = ["PROFILES", "Broker", "BrokerLimits", "LocalSubscriber", "NotStored", "Profile", "RetainedFull"]
