"""``littoral drill outage``: the link is away for hours. ``drill`` is the day, ``seen`` what is noted of it,
``findings`` holds that against the goals, ``plot`` is the picture."""
