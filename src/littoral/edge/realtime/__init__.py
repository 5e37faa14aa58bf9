"""Real-time logs: chosen fields of a sample of a behaviour's requests, to a data stream within seconds.

``fields`` writes a record's values, ``configuration`` is what a plan knows of it, ``delivery`` samples, batches and
sends, ``streams`` is the region's Kinesis API as a location reaches it.
"""
