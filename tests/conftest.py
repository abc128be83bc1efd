"""What holds for all tests."""

from hypothesis import settings

# Nothing here is timed: a machine that is busy must not make a test fail.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
