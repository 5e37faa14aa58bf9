"""Days as lifecycle rules and restorations count them: they end at midnight UTC. Pure."""

DAY = 86_400


def midnight(at: float, days: int) -> float:
    """The first that is so many whole days after."""
    return -(-(at + days * DAY) // DAY) * DAY
