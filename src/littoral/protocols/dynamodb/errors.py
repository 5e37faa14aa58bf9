"""What the language refuses. The words are the message of DynamoDB's ValidationException."""


class Invalid(ValueError):
    """A ValidationException."""
