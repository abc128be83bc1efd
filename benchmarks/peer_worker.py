"""The worker as one of the peers of `peers.py`."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from peer_work import CLASSES, MODEL, NAMES, D, Meter, class_vectors

from stream_adapter.config import KafkaTopics, parse
from stream_adapter.encode.vectors_only import FINGERPRINT
from stream_adapter.service.build import open_worker
from stream_adapter.service.heap import keep_heap_small
from stream_adapter.service.logs import configure_logs
from stream_adapter.service.main import work


def topics_of(kind: str, topics: str) -> dict[str, str]:
    """The worker's topics by role: the images are everybody's, the others its own."""
    own = {role: f"{topics}-{role.replace('_', '-')}" for role in KafkaTopics.model_fields if role != "images"}
    return {"images": kind, **own}


def worker(kind: str, servers: str, topics: str, meter: Meter) -> None:
    """The worker as it is configured by default, exactly once."""
    configure_logs("warning", "human")
    keep_heap_small()
    document: dict[str, Any] = {
        "kafka": {
            "bootstrap_servers": servers,
            "group_id": topics,
            "topics": topics_of(kind, topics),
        },
        "service": {"http": False},
    }
    if kind == "pictures":
        document["encoder"] = {
            "model": "small-clip",
            "model_config_file": str(MODEL),
            "pretrained": str(MODEL.with_suffix(".safetensors")),
        }
        document["vocabulary"] = {"classes": list(CLASSES), "templates": "none"}
    else:
        np.savez("vocabulary.npz", class_names=np.array(NAMES), text_vectors=class_vectors())
        document["encoder"] = {"type": "vectors", "options": {"d": D, "fingerprint": FINGERPRINT}}
        document["vocabulary"] = {"vectors": str(Path("vocabulary.npz").resolve())}
    with open_worker(parse(yaml.safe_dump(document))) as ours:
        # Of this counter alone: asking the registry reads every metric, a hundred times a second, on our account.
        meter.start(lambda: next(iter(ours.metrics.predictions.collect())).samples[0].value)
        work(ours)
