"""Every input that once failed has a test of what is right: the list of them, where it is there, against our tests."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
FILE = Path(os.environ.get("STREAM_ADAPTER_CASES", ROOT.parents[1] / "shared" / "cases")) / "README.md"

# How the row of a case begins: the file and a test in it.
TESTED = {
    "JPEG with EXIF orientation": "encode/test_orientation.py::test_every_orientation_is_turned_upright",
    "PNG bytes under `image/jpeg`": "encode/test_images.py::test_the_content_type_changes_nothing",
    "GIF, BMP, TIFF": "encode/test_images.py::test_every_format_and_colour_mode_equals_open_clip",
    "JPEG without its last two bytes": "encode/test_jpeg_end.py::test_without_its_end_marker_it_is_whole",
    "RGBA, LA or palette": "encode/test_transparency.py::"
    "test_a_transparent_ground_is_white_whatever_colour_hides_there",
    "`ce_time: 2026-01-02t": "events/test_cloudevents.py::test_a_time_may_be_written_in_any_way_of_rfc_3339",
    "a label in NFD": "events/test_cloudevents.py::test_a_label_is_read_in_its_canonical_form",
    "`ce_time` in the year 9999": "journey/test_reading.py::"
    "test_a_time_that_is_too_far_ahead_is_counted_and_the_record_s_own_counts",
    "record timestamp −1": "events/test_times.py::test_a_time_counts_as_far_as_it_can_be_believed",
    "`application/cloudevents-batch+json`": "events/test_cloudevents.py::"
    "test_malformed_events_are_refused_with_the_reason",
    'structured mode, `"id": 7`': "events/test_cloudevents.py::test_malformed_events_are_refused_with_the_reason",
    "null value without headers": "journey/test_reading.py::test_a_tombstone_is_neither_an_event_nor_bad",
    "the Python SDK's": "events/test_cloudevents.py::"
    "test_a_json_object_with_specversion_is_structured_whatever_the_header_says",
    "`ce_traceparent`": "events/test_prediction.py::test_the_trace_of_the_image_event_goes_on",
    "plain JSON as most topics": "events/test_plain_json.py::test_fields_are_found_by_their_paths",
    "manifest with `;`": "transport/files/test_manifest.py::test_what_spreadsheets_write_is_read",
    "manifest whose last lines": "transport/files/test_manifest.py::test_what_spreadsheets_write_is_read",
    "manifest with `sub": "transport/files/test_manifest.py::test_a_path_from_windows_is_found",
    "`classes: [no, yes]`": "config/test_loading.py::test_a_word_that_yaml_reads_as_something_else_is_to_be_quoted",
    "`classes: ['', a]`": "operations/test_validation.py::test_classes_that_cannot_be",
    "`adapter:` (or any key) twice": "config/test_loading.py::test_a_section_given_twice_is_refused_with_both_lines",
    "YAML with a recursive alias": "test_cli.py::test_a_recursive_alias_is_one_line",
    "`vocabulary.classes` with one name twice": "config/test_loading.py::test_every_role_has_a_topic_of_its_own",
    "`kafka.bootstrap_servers: [": "config/test_loading.py::test_brokers_are_read_as_everyone_writes_them",
    "a tab that indents": "test_yaml_text.py::test_what_is_wrong_is_said_with_its_place",
    "`classes_file` in CSV or JSON": "encode/test_class_list.py::test_a_list_is_read_by_what_it_is",
    "class names as lists": "encode/test_prompts.py::test_the_prompt_has_words_and_the_label_is_as_it_was",
    "`classes_file` that is YOLO": "encode/test_class_list.py::test_a_list_is_read_by_what_it_is",
    "folder: a class folder": "transport/files/test_folder.py::test_links_are_followed_and_loops_are_found",
    "folder in NFD": "transport/files/test_folder.py::test_a_folder_of_macos_is_the_class",
    "`pictures/train/red circle": "transport/files/test_folder.py::test_the_label_is_the_pictures_own_folder",
    "`record FILE`": "operations/test_outputs.py::test_a_topic_that_cannot_be_read_empties_no_file",
    "`anchors export W /dev/stdout`": "operations/test_outputs.py::test_a_pipe_stays_and_gets_everything",
    "an image event with `ce_time: 9999": "events/test_times.py::test_the_last_moment_of_the_calendar_can_be_written",
    "an anchor of another encoder": "journey/test_foreign.py::"
    "test_records_that_are_not_this_workers_are_set_aside_and_stop_nothing",
    "an anchor, presence record or prediction": "service/test_pipeline.py::"
    "test_outputs_that_are_too_large_are_left_out_and_end_nothing",
    "the anchors topic is deleted": "integration/test_outages.py::"
    "test_a_worker_whose_anchors_topic_was_deleted_waits_for_it",
    "no broker for 100 s": "integration/test_outages.py::test_a_broker_that_is_away_for_100_s_is_waited_for",
    "1,000 wrong labels": "integration/test_wrong_labels.py::"
    "test_a_thousand_wrong_labels_harm_little_and_leave_nothing_behind",
    "two idle workers": "integration/test_kafka_source.py::"
    "test_of_two_idle_workers_with_one_name_the_first_ends_and_burns_nothing",
    "partitions added": "integration/test_kafka_source.py::"
    "test_new_partitions_are_read_from_their_beginning_within_half_a_minute",
    "`make demo` with `http_proxy`": "demo/test_loopback.py::test_the_demo_sees_that_its_worker_is_ready",
    "60 % bad events": "journey/test_processor.py::test_a_flood_of_bad_events_among_good_ones_stops_nobody",
    "a worker with less than 100 anchors": "test_metrics.py::"
    "test_recall_has_no_series_before_it_was_measured_and_none_where_search_is_exact",
    "rename a class": "journey/test_classes.py::test_an_anchor_that_comes_before_its_class_waits_for_it",
    "`anchors list --json`": "operations/test_on_files.py::test_programs_get_all_of_it_and_people_what_a_table_holds",
    "`GET /metrics`": "service/web/test_server.py::test_nobody_is_redirected",
    "`validate` with `model": "operations/test_validation.py::test_a_model_that_nobody_knows",
    "`dead-letters list --stage": "test_cli.py::test_a_stage_that_is_none_is_wrong_usage",
    "`dead-letters list` of 50": "operations/test_on_files.py::test_reasons_are_grouped_by_what_they_have_in_common",
    "`Adapter.load_state": "adapter/test_learners.py::test_what_is_restored_answers_and_goes_on_as_the_other",
    "`learn` without": "adapter/test_adapter.py::test_labels_teach",
}


def cases() -> list[str]:
    """The first cell of every row."""
    if not FILE.exists():
        pytest.skip(f"{FILE} is absent; set STREAM_ADAPTER_CASES to the folder with the list of cases")
    rows = [line.partition("| ")[2] for line in FILE.read_text().splitlines() if line.startswith("| ")]
    return [row for row in rows if not row.startswith(("input |", "what was done |"))]


@pytest.mark.parametrize("test", sorted(set(TESTED.values())))
def test_the_test_of_a_case_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"def {name}\(", (ROOT / file).read_text()), f"{file} has no {name}"


def test_every_case_has_a_test() -> None:
    rows = cases()
    assert rows and [row[:80] for row in rows if not row.startswith(tuple(TESTED))] == []
