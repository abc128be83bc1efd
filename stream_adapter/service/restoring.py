"""Reading back what the topics hold before the first answer: a worker and a replica do it alike."""

import time

from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.heap import uncollected
from stream_adapter.transport.changelog import Changelog, in_larger_portions
from stream_adapter.transport.transport import Log

RESTORED_AT_ONCE = 10_000
"""Changes that are taken in together."""

_POLL_S = 0.005


def read_classes(classes: Log, processor: Processor, health: Health) -> None:
    """Take in what the classes are; called again, it goes on where it was interrupted."""
    for records in classes.portions():
        processor.apply_classes(records, restoring=True)
        health.progress()


@uncollected()
def read_anchors(changelog: Changelog, processor: Processor, health: Health, metrics: Metrics) -> None:
    """Take in the anchors, and what workers say of their traffic; called again, it goes on where it was interrupted."""
    for changes in in_larger_portions(changelog.read_to_end(), RESTORED_AT_ONCE):
        processor.apply(changes, positions=changelog.positions)
        metrics.restored_anchors.set(processor.adapter.n_anchors)
        health.progress()


def get_ready(processor: Processor, health: Health) -> None:
    """Warm the model up, and wait until all anchors are in force: it answers as the workers that wrote them do."""
    processor.warm_up()
    processor.apply(())
    while processor.adapter.pending:
        health.progress()
        time.sleep(_POLL_S)
        processor.apply(())
