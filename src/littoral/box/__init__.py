"""A box: a place whose disk shows nothing to who has stolen it.

Owns: the manifest that a job gives its box, what lies on a box's disk in the clear, and how its keys come and go. Knows
no capability: what a box serves is composed by ``site/box.py``. The region's side, ``snowball``, is in ``region/``.
"""
