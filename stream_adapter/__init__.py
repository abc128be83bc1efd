"""Keeps a frozen CLIP learning from a live stream of labelled images, without losing what it knew.

What others build on is here by its name, and everything else is inside. A name is imported when it is first used: the
package alone loads neither NumPy nor torch, and sets nothing in the process.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream_adapter.adapter.adapter import Adapter
    from stream_adapter.adapter.anchors.anchor import Anchor
    from stream_adapter.adapter.anchors.anchors import Anchors
    from stream_adapter.adapter.classes import Classes
    from stream_adapter.adapter.learner import Answer, Events, Labels, Learner, LearnerContext, Standing
    from stream_adapter.adapter.prediction import Prediction
    from stream_adapter.adapter.replaying import Replaying
    from stream_adapter.classifier import Classifier, Explanation
    from stream_adapter.config import AdapterConfig, EncoderConfig, Section, VocabularyConfig
    from stream_adapter.encode.base import Encoder
    from stream_adapter.encode.loading import load_models
    from stream_adapter.errors import StreamAdapterError
    from stream_adapter.events.label import LabelEvent
    from stream_adapter.operations.labels import send_labels
    from stream_adapter.transport.transport import Transport

__version__ = "0.2.0"

__all__ = [
    "Adapter",
    "AdapterConfig",
    "Anchor",
    "Anchors",
    "Answer",
    "Classes",
    "Classifier",
    "Encoder",
    "EncoderConfig",
    "Events",
    "Explanation",
    "LabelEvent",
    "Labels",
    "Learner",
    "LearnerContext",
    "Prediction",
    "Replaying",
    "Section",
    "Standing",
    "StreamAdapterError",
    "Transport",
    "VocabularyConfig",
    "__version__",
    "load_models",
    "send_labels",
]

_HOMES = {
    "adapter.adapter": ("Adapter",),
    "adapter.prediction": ("Prediction",),
    "adapter.anchors.anchor": ("Anchor",),
    "adapter.anchors.anchors": ("Anchors",),
    "adapter.classes": ("Classes",),
    "adapter.learner": ("Answer", "Events", "Labels", "Learner", "LearnerContext", "Standing"),
    "adapter.replaying": ("Replaying",),
    "classifier": ("Classifier", "Explanation"),
    "config": ("AdapterConfig", "EncoderConfig", "Section", "VocabularyConfig"),
    "encode.base": ("Encoder",),
    "encode.loading": ("load_models",),
    "errors": ("StreamAdapterError",),
    "events.label": ("LabelEvent",),
    "operations.labels": ("send_labels",),
    "transport.transport": ("Transport",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker would believe that every name is here

    def __getattr__(name: str) -> Any:
        """A public name, from where it lives (PEP 562)."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
