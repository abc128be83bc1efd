"""The main job on real pictures: PACS through a real Kafka, OpenAI's CLIP ViT-B/16 image tower, 171 class names.

Photographs, art paintings and cartoons, one domain after another; 'house' and 'giraffe' are canaries, 'guitar' is not
in the vocabulary. Run with `-s` to see the figures.
"""

import random
from collections import defaultdict
from math import comb
from pathlib import Path

import pytest

from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import anchor_records, event, get, metric, predictions, running, send, write_config
from tests.shared_data import shared

CANARIES = ("giraffe", "house")
# Photographs are all but solved by zero-shot: fewer of them.
PICTURES_A_CLASS = {"photo": 10, "art_painting": 22, "cartoon": 22}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pacs_learns_and_keeps_its_promise(bootstrap_servers: str, tmp_path: Path) -> None:
    # One partition and full batches: the figures hardly hang on how fast the machine is.
    cluster = Cluster(bootstrap_servers, partitions=1)
    tower, vocabulary = shared("clip_vitb16_image_tower_fp16.safetensors"), shared("vocabulary_clip_vitb16.npz")
    folder = shared("pacs_images")
    rng = random.Random(0)
    stream: list[tuple[str, str, Path]] = []  # domain, class, file
    for domain in PICTURES_A_CLASS:
        files = [
            (domain, name.name, file)
            for name in sorted((folder / domain).iterdir())
            for file in sorted(name.glob("*.jpg"))[: PICTURES_A_CLASS[domain]]
        ]
        rng.shuffle(files)
        stream += files
    truth = {str(number): (domain, name) for number, (domain, name, _) in enumerate(stream)}
    send(
        cluster,
        [(file.read_bytes(), event(str(number), name)) for number, (_, name, file) in enumerate(stream)],
    )
    config = write_config(
        tmp_path,
        cluster,
        encoder={"model": "ViT-B-16-quickgelu", "pretrained_image": str(tower)},
        vocabulary={"vectors": str(vocabulary), "unknown_labels": "ignore"},
        adapter={"canaries": list(CANARIES)},
        batch={"max_batch": 16, "max_wait_ms": 60_000},
    )
    with running(config) as worker:
        wait_for(lambda: len(predictions(cluster)) == len(stream), timeout_s=600.0, what="all predictions")
        unknown = metric(worker, 'stream_adapter_labels_total{outcome="unknown"}')
        seconds = [line for line in get(worker, "/metrics")[1].splitlines() if "stage_seconds_sum" in line]

    hits: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
    for prediction in predictions(cluster):
        domain, name = truth[prediction["event"]["id"]]
        if name == "guitar":
            continue
        group = "canary" if name in CANARIES else "labelled"
        both = prediction["zero_shot_label"] == name, prediction["top"][0]["label"] == name
        hits[domain, group].append(both)
        hits["all", group].append(both)
    print()
    for (domain, group), results in sorted(hits.items()):
        zero_shot, adapted = (100 * sum(column) / len(results) for column in zip(*results, strict=True))
        print(f"{domain:13} {group:9} {len(results):4} events, zero-shot {zero_shot:.1f} %, adapted {adapted:.1f} %")
    print("\n".join(seconds))

    def accuracy(group: str, column: int) -> float:
        results = hits["all", group]
        return sum(result[column] for result in results) / len(results)

    assert accuracy("labelled", 1) > accuracy("labelled", 0)
    # So few canaries cannot show half a point (`tests/evaluate/test_promise.py` does, over draws): here the sign test
    # must not find harm.
    lost = sum(before and not after for before, after in hits["all", "canary"])
    won = sum(after and not before for before, after in hits["all", "canary"])
    assert sum(comb(lost + won, k) for k in range(lost, lost + won + 1)) / 2 ** (lost + won) > 0.05, (lost, won)
    # Labels that the vocabulary does not know are counted, predicted and not learned.
    assert unknown == sum(name == "guitar" for _, name in truth.values())
    anchors = anchor_records(cluster)
    assert {dict(record.headers)["label"].decode() for record in anchors} == {"dog", "elephant", "horse", "person"}
