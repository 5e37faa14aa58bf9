"""S3: buckets, objects, multipart uploads, and notifications to functions."""

from littoral.objects.facade import Objects

__all__ = ["Objects"]
