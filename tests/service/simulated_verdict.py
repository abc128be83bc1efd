"""What is wrong with what a simulated group has written: one sentence each."""

from collections import Counter, defaultdict

from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import parse_label_event
from tests.campaigns.verdict import late_labels
from tests.faults.verdict import origin_of
from tests.service.simulated_broker import TOO_LARGE, Group


def wrong_outcomes(group: Group) -> list[str]:
    """Each event has one prediction or one dead letter."""
    outcomes = Counter[str]()
    for output in group.written:
        if output.channel == "predictions":
            outcomes[dict(output.headers)["ce_id"].decode()] += 1
        elif output.channel == "dead_letters":
            outcomes[origin_of(output.headers)[1]] += 1
    places = [f"{at}@{record.offset}" for at, log in group.images.items() for record in log]
    return [f"{place} has {outcomes[place]} outcomes" for place in places if outcomes[place] != 1]


def wrong_effects(group: Group) -> list[str]:
    """Of the labels that came with an event the last one had an effect, and each as often as it was said at most."""
    effects: defaultdict[str, Counter[str]] = defaultdict(Counter)
    deleted = set()
    for output in group.written:
        headers = dict(output.headers)
        if output.channel == "anchors" and output.value is None:
            deleted.add(output.key)
        elif output.channel == "anchors" and "event_id" in headers:
            effects[headers["event_id"].decode()][headers["label"].decode()] += 1
    said: defaultdict[str, list[str]] = defaultdict(list)
    for log in group.images.values():
        for record in log:
            headers = dict(record.headers)
            if "ce_label" in headers:
                said[headers["ce_id"].decode()].append(headers["ce_label"].decode())
    wrong = []
    for event, labels in said.items():
        took = effects[event]
        gone = anchor_id_of("/test", event).encode() in deleted or int(event) % TOO_LARGE == 0
        if not took[labels[-1]] and not gone:
            wrong.append(f"event {event}: of its labels {labels} the last had no effect: {dict(took)}")
        wrong += [f"event {event}: {name!r} taught {n} times" for name, n in took.items() if n > labels.count(name)]
    return wrong


def wrong_late_labels(group: Group) -> list[str]:
    """The same of labels that came apart from their events; of some the anchor is too large for its topic."""
    labels = [label for label in map(parse_label_event, group.labels) if int(label.event_id) % TOO_LARGE]
    waiting = (record for log in group.waiting for record in log)
    lost, doubled = late_labels(labels, waiting, (one for one in group.written if one.channel == "anchors"))
    return lost + doubled
