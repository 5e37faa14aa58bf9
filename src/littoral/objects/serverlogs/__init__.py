"""Server access logs of buckets: ``line`` writes an entry, ``delivery`` gathers them and brings them away."""
