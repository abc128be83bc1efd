"""The same line comes once a minute, and says how often it happened."""

from stream_adapter.throttled_log import ThrottledLog
from tests.fakes import FakeClock


def test_a_line_comes_at_most_once_a_minute_with_how_often_it_happened() -> None:
    clock = FakeClock()
    said: list[tuple[str, dict[str, object]]] = []
    say = ThrottledLog(lambda event, **facts: said.append((event, facts)), clock)
    for number in range(3):
        say("refused", number=number)
    say("lost", number=9)
    clock.now_s = 60.0
    say("refused", number=3)
    assert said == [
        ("refused", {"times": 1, "number": 0}),
        ("lost", {"times": 1, "number": 9}),
        ("refused", {"times": 3, "number": 3}),
    ]
