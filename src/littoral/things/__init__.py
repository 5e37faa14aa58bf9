"""Things: MQTT devices, their registry, certificates and policies, shadows, topic rules.

================  ================================================================================
``facade``        ``Things``: opens all of it as one capability
``broker/``       the MQTT broker: sessions, subscriptions, retained messages
``message``       a publication; ``access``: what the broker asks before it lets one pass
``registry/``     things, certificates, policies, attachments: the facts, durable
``control/``      the API of botocore's service ``iot``; ``data`` is that of ``iot-data``
``permissions``   the answers to ``access``, from the registry's policies
``shadows/``      device shadows over MQTT and in process
``rules/``        topic rules: matched durably, run at least once
================  ================================================================================

Refuses to know: sockets (``net``), functions and objects (handed in as ``Invoker`` and ``ObjectSink``).
"""
