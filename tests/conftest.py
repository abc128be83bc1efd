"""What holds for all tests."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# Nothing here is timed: a machine that is busy must not make a test fail.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def logs_as_in_a_new_process() -> Iterator[None]:
    """Commands set logs up where nobody has: else they would say them where what they are asked for goes."""
    yield
    structlog.reset_defaults()
