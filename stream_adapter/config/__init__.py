"""The configuration: its sections, and how a file of them is read."""

from stream_adapter.config.loading import load, parse
from stream_adapter.config.sections import (
    AdapterConfig,
    AnchorsConfig,
    BatchConfig,
    Config,
    DeadLetterLimit,
    EncoderConfig,
    FilesConfig,
    KafkaConfig,
    KafkaTopics,
    PageConfig,
    PreprocessConfig,
    PresenceConfig,
    RefitConfig,
    ResidualConfig,
    ServiceConfig,
    SnapshotsConfig,
    VocabularyConfig,
)

__all__ = [
    "AdapterConfig",
    "AnchorsConfig",
    "BatchConfig",
    "Config",
    "DeadLetterLimit",
    "EncoderConfig",
    "FilesConfig",
    "KafkaConfig",
    "KafkaTopics",
    "PageConfig",
    "PreprocessConfig",
    "PresenceConfig",
    "RefitConfig",
    "ResidualConfig",
    "ServiceConfig",
    "SnapshotsConfig",
    "VocabularyConfig",
    "load",
    "parse",
]
