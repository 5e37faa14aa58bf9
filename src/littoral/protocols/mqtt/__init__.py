"""MQTT 3.1.1 and 5.0 without sockets: packets to bytes and back, topic names and filters.

==============  ==========================================================
``wire``        integers, strings, and what malformed bytes raise
``reasons``     reason codes
``properties``  the properties of MQTT 5, one table
``packets``     the packets as dataclasses
``decode``      bytes to packets; ``Decoder`` for a stream of them
``encode``      packets to bytes
``topics``      names, filters, matching
==============  ==========================================================
"""
