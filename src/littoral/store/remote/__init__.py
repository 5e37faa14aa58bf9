"""Blobs whose bytes lie in a bucket of any S3 endpoint, and whose rows lie here: `blobs` over a `far` side."""
