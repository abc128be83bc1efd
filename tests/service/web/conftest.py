from collections.abc import Iterator

import pytest

from tests.service.web.served import Served


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    served.open()
    yield served
    served.stop()
