"""Things: MQTT devices, their registry, certificates and policies, shadows, topic rules.

================  ================================================================================
``facade``        ``Things``: opens all of it as one capability
``broker/``       the MQTT broker: sessions, subscriptions, retained messages
``message``       a publication; ``access``: what the broker asks before it lets one pass
``registry/``     things, certificates, policies, attachments: the facts, durable
``control/``      the API of botocore's service ``iot``; ``data`` is that of ``iot-data``
``permissions``   what a certificate may do; ``gatekeeper`` answers ``access`` from it
``jobs/``         jobs and their executions; ``provisioning/``: devices that become things; ``fleet`` opens both
``indexing/``     the fleet index and dynamic thing groups; ``credentials``: temporary ones for a certificate
``refusals``      who was refused what, and why
``shadows/``      device shadows over MQTT and in process
``rules/``        topic rules: matched durably, run at least once; ``intake`` feeds them
``duplicates``    messages sent twice, delivered once; ``presence``: who came and went
``reserved``      what is published to ``$aws/…``
================  ================================================================================

Refuses to know: sockets (``net``), functions and objects (handed in as ``Invoker`` and ``ObjectSink``).
"""

from littoral.things.facade import Things

__all__ = ["Things"]
