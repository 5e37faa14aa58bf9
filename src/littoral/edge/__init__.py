"""The edge: distributions, cache, Lambda@Edge triggers (CloudFront)."""
