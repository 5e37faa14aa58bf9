"""Functions: AWS Lambda at every place."""
