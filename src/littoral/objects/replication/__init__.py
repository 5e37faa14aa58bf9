"""Buckets that replicate to others: ``rules`` says what goes where, ``rows`` is the durable queue, ``sending`` empties
it into ``targets``: a bucket of this place, or one of another S3 endpoint."""
