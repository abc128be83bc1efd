"""Unit image vectors and labels in, adapted probabilities out. No I/O, no clock, no Kafka in here."""

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors import Anchor
from stream_adapter.adapter.results import AdapterPrediction, ForgetResult, LearnResult

__all__ = ["Adapter", "AdapterPrediction", "Anchor", "ForgetResult", "LearnResult"]
