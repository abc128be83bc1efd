from stream_adapter.events import parse_image_event
from tests.events.test_cloudevents import binary


def test_anchor_id_depends_on_identity_alone() -> None:
    first = parse_image_event(binary())
    assert first.anchor_id == parse_image_event(binary(ce_label="cat")).anchor_id
    assert first.anchor_id != parse_image_event(binary(ce_id="43")).anchor_id
    # ("a", "bc") and ("ab", "c") are different events.
    assert (
        parse_image_event(binary(ce_source="a", ce_id="bc")).anchor_id
        != parse_image_event(binary(ce_source="ab", ce_id="c")).anchor_id
    )
    assert len(first.anchor_id) == 32
