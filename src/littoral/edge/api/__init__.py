"""The operations of the CloudFront API, split by noun; ``littoral.edge.cloudfront`` is the whole."""
