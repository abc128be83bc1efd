"""A question is answered within a refresh of the model, not after it."""

import threading
from typing import Any

import numpy as np

from tests.fakes import CLASSES, make_processor, picture, vectors_of
from tests.journey.running import run


def test_a_question_is_answered_while_a_batch_is_learned() -> None:
    processor: Any = make_processor()
    run(processor, *(picture(CLASSES[n % 2], n, CLASSES[n % 2]) for n in range(8)))
    questions = vectors_of(("cat", 100))
    before = processor.questions.answer(questions)
    asked, answers = threading.Event(), []

    def ask() -> None:
        asked.set()
        answers.append(processor.questions.answer(questions))

    learn, thread = processor.adapter.update, threading.Thread(target=ask)

    def slow(*args: Any, **kwargs: Any) -> Any:
        thread.start()
        assert asked.wait(10)
        for _ in range(1_000):  # long work gives way now and then
            processor._turns.give_way()
            if answers:
                break
            threading.Event().wait(0.01)
        assert answers, "it had to wait for the end"
        return learn(*args, **kwargs)

    processor.adapter.update = slow
    run(processor, picture("dog", 9))
    thread.join(10)
    assert np.isclose(answers[0][0]["top"][0]["adapted"], before[0]["top"][0]["adapted"])
