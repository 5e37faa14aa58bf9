"""What the language refuses. The words are the message of DynamoDB's ValidationException."""


class Invalid(ValueError):
    """A ValidationException."""


class TooLarge(Invalid):
    """An item beyond its 400 KB, while it was being updated."""
