from stream_adapter.evaluate.methods.last_label import LastLabel
from tests.evaluate.methods.small import TASK, teach, vectors


def test_it_answers_the_newest_label() -> None:
    method = LastLabel(TASK)
    teach(method, vectors((1, 0, 0), (0, 1, 0)), [0, 2])
    assert method.predict(vectors((1, 0, 0), (0, 1, 0))).tolist() == [[0, 0, 1], [0, 0, 1]]
