"""QoS 1 through our broker, mosquitto and nats-server's MQTT: to clean sessions, and to durable ones that are online.

``.venv/bin/python bench/bench_mqtt_qos1.py [--seconds 0.7]``. Payload 64 bytes, MQTT 3.1.1, as ``bench_mqtt``. Who has
what on disk before the publisher's PUBACK:

====================  ===========================================================================================
littoral              clean: nothing. Durable: every message, with fsync (one for all that came together)
mosquitto             nothing (``persistence false``)
mosquitto-default     nothing: its memory is written as one file every half hour, and at the end
mosquitto-on-change   nothing yet: the file is written anew, with fsync, after each turn of its loop that changed
                      something (``autosave_on_changes``, ``autosave_interval 1``), which is after the PUBACK
nats                  every message of QoS 1, clean or durable, without fsync (``sync_interval`` two minutes)
====================  ===========================================================================================
"""

from __future__ import annotations

import argparse
import sys
from functools import partial

from mqtt_load import Row, all_of, littoral, mosquitto, nats, table

SAVING = "persistence true"
CHANGES = ("autosave_on_changes true", "autosave_interval 1")
CLEAN = ("littoral", "mosquitto", "nats")
DURABLE = ("littoral", "mosquitto-default", "mosquitto-on-change", "nats")
GOALS = (("mosquitto-on-change", 2.0),)  # the others promise less
ROWS = [
    Row("clean, 1 to 1", 1, brokers=CLEAN),
    Row("clean, 1 to 10", 1, fan=10, brokers=CLEAN),
    Row("clean, 1 to 1, 90 topics", 1, topics=90, brokers=CLEAN),
    Row("durable, 1 to 1", 1, durable=True, goals=GOALS, brokers=DURABLE),
    Row("durable, 1 to 10", 1, fan=10, durable=True, goals=GOALS, brokers=DURABLE),
]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=0.7)
    arguments.add_argument("--rounds", type=int, default=2)
    chosen = arguments.parse_args()
    default = partial(mosquitto, SAVING, name="mosquitto-default")
    changes = partial(mosquitto, SAVING, *CHANGES, name="mosquitto-on-change")
    with all_of(littoral, mosquitto, default, changes, nats) as brokers:
        return 0 if table(ROWS, brokers, chosen.seconds, chosen.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
