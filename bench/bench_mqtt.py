"""QoS 0 through our broker, mosquitto and nats-server's MQTT, by the same load in the same run.

``.venv/bin/python bench/bench_mqtt.py [--seconds 0.7]`` prints messages per second into each broker, the broker's CPU
for one, the share of its core that the load takes, and the ratios against their goals: one publisher to one and to
ten subscribers, to a wildcard over 90 topics in turn (a ward of monitors), and one to one beside 1,000 idle
connections. Payload 64 bytes, MQTT 3.1.1. The broker has one core, the load the other (``mqtt_load``).
"""

from __future__ import annotations

import argparse
import sys

from mqtt_load import Row, all_of, littoral, mosquitto, nats, table

GOALS = (("mosquitto", 4.0), ("nats", 1.0))
ROWS = [
    Row("QoS 0, 1 to 1", 0, goals=GOALS),
    Row("QoS 0, 1 to 10", 0, fan=10, goals=GOALS),
    Row("QoS 0, 1 to 1, 90 topics", 0, topics=90),
    Row("QoS 0, 1 to 1, 1,000 idle", 0, idle=1000),
]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=0.7)
    arguments.add_argument("--rounds", type=int, default=2)
    chosen = arguments.parse_args()
    with all_of(littoral, mosquitto, nats) as brokers:
        return 0 if table(ROWS, brokers, chosen.seconds, chosen.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
