import pytest

from stream_adapter.adapter.inline_executor import InlineExecutor


def test_results_and_errors_are_handed_on() -> None:
    assert InlineExecutor().submit(divmod, 7, 2).result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        InlineExecutor().submit(divmod, 7, 0).result()
