"""Programs that run outside the place: the zygote (which keeps instances) and what becomes an instance.

They are started as ``python -I -S zygote.py`` by whatever Python serves the runtime, so they import the standard
library only, never ``littoral``.
"""
