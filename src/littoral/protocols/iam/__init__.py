"""IAM's policy language, as far as resource policies speak it: JSON in, a decision per request out."""
