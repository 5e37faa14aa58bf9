"""What holds for every test: no example of hypothesis fails because the machine is busy."""

from hypothesis import settings

settings.register_profile("littoral", deadline=None)
settings.load_profile("littoral")
