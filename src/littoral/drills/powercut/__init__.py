"""``littoral drill power-cut``: the disk's power is cut under a place at work, again and again. ``drill`` is what
happens, ``disk`` the disk, ``clients`` who is told what, ``seen`` what is noted, ``findings`` and ``plot`` what it
means."""
