"""The table of docs/reliability.md: what is done to workers, what a user sees, what was mended because of it.

Written by hand; only that every fault has its row is tested.

python -m tests.faults.table     # writes it into the page
"""

from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: written in tests/faults/table.py -->\n", "<!-- end -->\n"


class Row(NamedTuple):
    """One fault."""

    done: str
    seen: str
    mended: str = "–"


ROWS: dict[str, Row] = {
    "kill": Row("SIGKILL at any moment", "its partitions move or wait for it; nothing else"),
    "kill while it starts": Row("SIGKILL three times within seconds", "the same"),
    "stand still": Row(
        "SIGSTOP for 2 or 12 s, which is longer than sessions and transactions last",
        "others take over, and it goes on",
        "where a transaction was open meanwhile, it ended `Fenced`",
    ),
    "stand still while it starts": Row(
        "SIGKILL, and SIGSTOP for 12 s within the start: loading, restoring, warming up", "it starts later"
    ),
    "stop in order": Row(
        "SIGTERM, and back after 3 s",
        "it drains and leaves",
        "a signal in the midst of a finalizer did not end a worker that was still starting",
    ),
    "rebalance storm": Row("four workers stopped and started within seconds", "pauses of a second or two"),
    "broker killed": Row("SIGKILL to the broker, back within 2 s", "not ready for a moment, then it goes on"),
    "broker away, worker starts without": Row(
        "no broker for 20 s, while a worker starts",
        "alive, not ready, one line a minute, `transport_silent_seconds`, alert StreamAdapterNoAnswer",
        "it ended after 15 s; every question of the start is now asked again with growing pauses",
    ),
    "slow network": Row("every chunk held back by up to 200 ms", "latency"),
    "silent network": Row("a proxy that forwards nothing for 3 or 12 s", "not ready until it is over"),
    "connections reset": Row("every connection reset, five times", "aborted commits, tried again"),
    "hostile events": Row(
        "headers missing, doubled, not UTF-8; ids of 1 MB; years 1600 and 9999; terminal escapes; NaN, "
        "infinity, other lengths; odd pictures; JSON of all kinds",
        "a dead letter each, or a prediction; escapes are shown by their numbers",
        "ids, sources, labels and keys above 8 kB are dead letters; terminals, logs and errors show text harmlessly",
    ),
    "tombstones": Row("250 null values on the images topic", "`tombstones_total`"),
    "foreign records": Row(
        "another encoder's anchors, a newer version's, another application's records, garbage; on the topics for "
        "anchors, labels, classes and waiting events",
        "`records_set_aside_total` by reason, one line a minute, alert StreamAdapterForeignRecords; dead letters for "
        "labels that are none",
        "one such record ended every worker, again at each restart; now only a majority of them stops a start",
    ),
    "anchors deleted from outside": Row("deletions of keys that nobody has", "nothing"),
    "disk full": Row(
        "no room for snapshots", "`snapshots_total{outcome=\"failed\"}`, alert StreamAdapterSnapshotsFailing"
    ),
    "disk read-only": Row(
        "the disk of the snapshots read-only",
        "the same",
        "a worker that started meanwhile ended; it now reads what is there and writes when it can",
    ),
    "few file descriptors": Row("a limit of 64 while all connections are reset", "nothing"),
    "outputs too large": Row(
        "the anchors topic takes no more than 1,500 bytes, the one for predictions 8,000, and there are ids of 5,000",
        "`outputs_too_large_total`, a line that names topic and size, alert StreamAdapterOutputsTooLarge; dead letters "
        "for the predictions that do not fit",
        "one such record ended the worker, and a prediction was lost; what fits is written, what an anchor would have "
        "taught is taken back",
    ),
    "partitions added": Row("the images topic grows", "they are read from their beginning within half a minute"),
    "wrong labels": Row("60 near-copies under a wrong name", "see below"),
    "labels of one class": Row("80 events of all classes, all called one", "see below"),
    "traffic near a name": Row("300 events near one class", "see below"),
    "two of one name": Row("a second process under a worker's name", "one of the two ends, `Fenced`, and says why"),
}  # fmt: skip

TESTED: dict[str, tuple[Row, str]] = {
    "a lost join that is taken later": (
        Row(
            "a connection breaks on the request to join, which arrives once the worker has joined again",
            "a line in the log; it joins anew. Where another worker has its name, one of the two ends",
            "it ended `Fenced`, by itself",
        ),
        "integration/test_fencing.py::test_a_worker_that_its_own_lost_join_fences_joins_anew",
    ),
    "a lost request for transactions that is taken later": (
        Row(
            "the same, with the request that makes a producer the one of its name",
            "an aborted commit, tried again",
            "the same",
        ),
        "integration/test_fencing.py::test_a_lost_request_for_transactions_that_is_taken_later_ends_nobody",
    ),
    "broker killed in a rebalance": (
        Row(
            "before it has written down who is in the group",
            "a line in the log; it joins anew",
            "whoever had joined under a new id ended `Fenced`",
        ),
        "integration/test_fencing.py::test_a_worker_whose_group_went_back_to_its_former_self_joins_anew",
    ),
    "broker back with an earlier state of the group": (
        Row(
            "it knows former members, and positions from before what was committed last",
            "a line in the log; it joins anew, and goes on where it was",
            "it ended `Fenced`, and what was committed was predicted again",
        ),
        "integration/test_fencing.py::test_a_worker_whose_broker_came_back_with_an_earlier_state_of_the_group_goes_on_where_it_was",
    ),
    "positions that a broker lost": (
        Row(
            "the same, and a worker starts, or gets a partition, that did not commit them itself",
            "a line in the log; it goes on where the former owner was",
            "it read again, and predicted and taught, what lay in between",
        ),
        "integration/test_resuming.py::test_a_partition_that_moves_is_read_on_where_its_former_owner_was",
    ),
    "positions that a broker lost in the midst of a commit": (
        Row(
            "the answer to a commit is lost, and with it what the group knew of it",
            "a line in the log",
            "the batch was written a second time",
        ),
        "integration/test_resuming.py::test_a_commit_whose_answer_was_lost_is_known_though_the_group_lost_its_position",
    ),
    "positions that a broker forgot to end": (
        Row(
            "open for good in the group's log, of a transaction that counts as complete",
            "their partitions stand still for some ten seconds",
            "they stood still until somebody aborted it by hand",
        ),
        "integration/test_hanging_positions.py::test_what_hangs_ends_as_the_newest_transaction_did",
    ),
    "a transaction left open for too long": (
        Row("longer than `transaction_timeout_ms`", "an aborted commit, tried again", "it ended `Fenced`"),
        "integration/test_exactly_once.py::test_a_transaction_that_its_worker_left_open_for_too_long_is_tried_again",
    ),
    "an anchor too large for its topic, in a commit without an answer": (
        Row(
            "the commit goes on without it, and nobody says what became of that",
            "a line in the log; `outputs_too_large_total`",
            "the worker kept an anchor that no other one had",
        ),
        "service/test_simulated_group.py::test_each_event_has_one_outcome_and_each_label_one_effect",
    ),
    "a topic missing at the start": (
        Row("any that the worker reads or writes", "it ends, and names topics and command"),
        "integration/test_kafka_source.py::test_a_missing_topic_is_an_error_at_the_start",
    ),
    "one of three brokers killed": (
        Row("leaders change, and change back; `min.insync.replicas` is 2", "pauses of seconds"),
        "integration/test_three_brokers.py::test_no_event_is_lost_or_doubled_while_brokers_of_three_come_and_go",
    ),
    "retention shrunk": (
        Row(
            "records deleted before they are read",
            "an error in the log with partition and offsets; what is left is read",
            "nobody was told, and with `auto_offset_reset: latest` what was left was passed over",
        ),
        "integration/test_topics_under_the_reader.py::test_what_retention_left_is_read_and_what_it_took_is_said",
    ),
    "images topic made anew": (
        Row(
            "deleted and created under the reader, also before it sees it gone",
            "a line in the log within 10 s; read from its beginning",
            "where it did not see it gone it was not read again, or not its first events",
        ),
        "integration/test_topics_under_the_reader.py::"
        "test_a_topic_that_is_made_anew_before_its_reader_sees_it_gone_is_read_from_its_beginning",
    ),
    "images topic deleted": (
        Row("under the worker", "not ready, one line, until it is there again"),
        "integration/test_topics_under_the_reader.py::test_an_images_topic_that_is_gone_is_waited_for_and_said",
    ),
    "predictions topic deleted": (
        Row("under the worker", "the same; the same commit is then written"),
        "integration/test_topics_under_the_reader.py::"
        "test_an_output_topic_that_is_gone_is_waited_for_and_nothing_is_lost",
    ),
    "anchors topic deleted": (
        Row("under the worker", "not ready, one line, until `topics create`"),
        "integration/test_outages.py::test_a_worker_whose_anchors_topic_was_deleted_waits_for_it",
    ),
    "no broker for 100 s": (
        Row("idle and busy, once and at least once", "alive, not ready, a line a minute"),
        "integration/test_outages.py::test_a_broker_that_is_away_for_100_s_is_waited_for",
    ),
    "broker with quotas": (
        Row("60 kB a second for each client, both ways", "lag; nothing else"),
        "integration/test_broker_limits.py::test_a_worker_that_is_slowed_down_by_its_broker_predicts_each_event_once",
    ),
    "broker's disk full": (
        Row("until it ends itself, and room again", "alive, not ready until it is back"),
        "integration/test_broker_limits.py::test_a_broker_whose_disk_is_full_is_waited_for",
    ),
    "disk full, with files": (
        Row("no room in `files.output`", "it ends with one line; nothing of the commit is left, nothing is lost"),
        "transport/files/test_sink.py::test_a_full_disk_leaves_nothing_of_the_commit",
    ),
    "expired credentials": (
        Row(
            "the broker no longer takes the token",
            "not ready, and why; it goes on with a new token",
            "it ended the worker, or looked like a broker that is away",
        ),
        "integration/test_tokens.py::test_a_reader_whose_credentials_expire_says_so_and_goes_on_with_new_ones",
    ),
    "decoding that never ends": (
        Row(
            "a decode thread hangs",
            "a dead letter after `encoder.decode_s`; the batch goes on with another thread",
            "the batch waited for ever: killed as stuck, the worker met the picture again",
        ),
        "encode/test_decoders.py::test_a_picture_that_hangs_is_a_dead_letter_and_the_rest_of_its_batch_is_predicted",
    ),
    "encoder fails at a picture": (
        Row("the tower raises", "a dead letter with stage and traceback", "it ended the worker, again at each restart"),
        "journey/test_processor_faults.py::"
        "test_a_picture_at_which_the_encoder_fails_is_a_dead_letter_and_the_rest_goes_on",
    ),
    "CUDA out of memory (simulated)": (
        Row(
            "the device has no room for a batch",
            "a line in the log; smaller batches from then on",
            "it ended the worker",
        ),
        "encode/test_clip.py::test_a_batch_for_which_the_device_has_no_room_is_halved",
    ),
    "memory short": (
        Row("no room for what a whole batch needs", "nothing: it goes through in parts"),
        "journey/test_processor_faults.py::test_a_batch_that_memory_has_no_room_for_goes_through_in_parts",
    ),
    "a fit that throws": (
        Row("in the background", "the worker ends with what was raised, having written nothing of it"),
        "adapter/latent_updates/test_learner.py::test_what_a_background_fit_raises_surfaces_in_the_owner_thread",
    ),
    "stop while it starts": (
        Row("SIGTERM while it loads or restores", "it ends at once, with status 143"),
        "service/test_main.py::test_sigterm_drains_a_worker_or_ends_one_that_is_still_starting",
    ),
    "port taken": (
        Row("`service.port` is in use", "one line that names the key"),
        "service/web/test_server.py::test_a_port_in_use_is_a_clear_error",
    ),
    "clocks": (
        Row(
            "times of events jump to any year, and backwards",
            "a time too far ahead counts as the record's, `event_times_ahead_total`",
        ),
        "events/test_times.py::test_no_time_is_ahead_of_now_by_more_than_the_bound",
    ),
    "a client that means harm": (
        Row("near-copies, labels flipped, labels of one class, traffic near a name, on real vectors", "see below"),
        "faults/test_poisoned.py::test_it_costs_little_and_is_undone",
    ),
    "the machine's clock": (
        Row(
            "turned by a year under the worker, forwards and back",
            "ahead by more than an hour: not ready, and why, until it is set (brokers refuse such times); else nothing",
            "it ended the worker",
        ),
        "integration/test_clock_jumps.py::test_the_clock_of_the_machine_may_jump_by_a_year",
    ),
}
"""What cannot be done at random in the midst of the others, and the test that does it."""


def table() -> str:
    """In Markdown."""
    lines = ["| fault | what is done | what a user sees | what was mended |", "|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(row)} |" for name, row in ROWS.items()]
    lines += [f"| {name} ¹ | {' | '.join(row)} |" for name, (row, _) in TESTED.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put it into the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
