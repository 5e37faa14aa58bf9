"""Things: MQTT broker, registry, certificates and policies, shadows, topic rules (AWS IoT Core)."""
