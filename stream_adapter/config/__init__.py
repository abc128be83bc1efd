"""The configuration: its sections, and how a file of them is read."""

from stream_adapter.config.loading import load, parse
from stream_adapter.config.model import (
    AdapterConfig,
    AnchorsConfig,
    EncoderConfig,
    LatentUpdatesConfig,
    MixtureConfig,
    PreprocessConfig,
    RefitConfig,
    Section,
    VocabularyConfig,
)
from stream_adapter.config.sections import (
    Config,
    DeadLetterLimit,
    EventsConfig,
    FieldsConfig,
    FilesConfig,
    KafkaConfig,
    KafkaTopics,
    LabelsConfig,
    ReferencesConfig,
    SnapshotsConfig,
)
from stream_adapter.config.values import FilePath
from stream_adapter.config.web import LabelStudioConfig, PageConfig, PredictConfig

__all__ = [
    "AdapterConfig",
    "AnchorsConfig",
    "Config",
    "DeadLetterLimit",
    "EncoderConfig",
    "EventsConfig",
    "FieldsConfig",
    "FilePath",
    "FilesConfig",
    "KafkaConfig",
    "KafkaTopics",
    "LabelStudioConfig",
    "LabelsConfig",
    "LatentUpdatesConfig",
    "MixtureConfig",
    "PageConfig",
    "PredictConfig",
    "PreprocessConfig",
    "ReferencesConfig",
    "RefitConfig",
    "Section",
    "SnapshotsConfig",
    "VocabularyConfig",
    "load",
    "parse",
]
