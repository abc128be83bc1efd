"""The sections about what comes and goes, and the root of them all; `configs/default.yaml` documents every key."""

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, IPvAnyNetwork, model_validator

from stream_adapter.config.model import AdapterConfig, EncoderConfig, Section, VocabularyConfig
from stream_adapter.config.plugged import registered, transport_sections
from stream_adapter.config.values import (
    EXPONENT,
    KAFKA_PORT,
    ClientOption,
    Count,
    FilePath,
    Fraction,
    Milliseconds,
    Patience,
    PositiveInt,
    Seconds,
    Servers,
    TopicName,
)
from stream_adapter.config.web import LabelStudioConfig, PageConfig, PredictConfig, ServiceConfig
from stream_adapter.drift.settings import DriftSettings
from stream_adapter.errors import MalformedEvent
from stream_adapter.events.names import canonical_name
from stream_adapter.events.reference import allowed
from stream_adapter.plugins import TRANSPORTS


def _path(text: str) -> str:
    """A path to a field: `a.b.0`, or a JSON Pointer."""
    if not text.startswith("/") and not all(text.split(".")):
        raise ValueError("a path is made of names and positions with dots between them, as `meta.labels.0`")
    return text


FieldPath = Annotated[str, AfterValidator(_path)]


class FieldsConfig(Section):
    """Where in plain JSON the parts of an event are."""

    id: FieldPath | None = None
    source: FieldPath | None = None
    time: FieldPath | None = None
    label: FieldPath | None = None
    picture: FieldPath | None = None
    reference: FieldPath | None = None
    vector: FieldPath | None = None
    fingerprint: FieldPath | None = None


class EventsConfig(Section):
    """What the records of the images topic look like."""

    format: Literal["cloudevents", "json", "raw"] = "cloudevents"
    fields: FieldsConfig = FieldsConfig()
    time_unit: Literal["ms", "s"] = "ms"
    max_ahead_s: Seconds = 300.0

    @model_validator(mode="after")
    def _fields_where_they_are_read(self) -> "EventsConfig":
        given = self.fields.model_dump(exclude_none=True)
        if self.format != "json" and given:
            raise ValueError(f"`fields` is for `format: json`, this is `format: {self.format}`; leave one of them out")
        payload = [name for name in ("picture", "reference", "vector") if name in given]
        if self.format == "json" and len(payload) != 1:
            raise ValueError(
                "`format: json` needs one of `fields.picture`, the path to a picture in base64, `fields.reference`, to "
                f"where one is stored, and `fields.vector`; found {' and '.join(payload) or 'none'}"
            )
        if ("vector" in given) != ("fingerprint" in given):
            raise ValueError("`fields.vector` and `fields.fingerprint`, which encoder made it, belong together")
        return self


def _allowed(text: str) -> str:
    try:
        return str(allowed(text))
    except MalformedEvent as error:
        raise ValueError(str(error)) from error


class ReferencesConfig(Section):
    """Pictures that are stored elsewhere: which may be fetched, and how long that may take."""

    allow: tuple[Annotated[str, AfterValidator(_allowed)], ...] = ()
    networks: tuple[IPvAnyNetwork, ...] = ()
    parallel: Annotated[int, Field(ge=1, le=10_000), EXPONENT] = 128
    timeout_s: Patience = 5.0
    total_s: Patience = 30.0


class BatchConfig(Section):
    """When a batch closes: when it is full or after `max_wait_ms`, whichever comes first."""

    max_batch: PositiveInt = 512
    max_wait_ms: Annotated[float, Field(ge=0.0, le=3_600_000.0)] = 50.0
    top_k: PositiveInt = 5


class PredictionsConfig(Section):
    """What a prediction says beside its answer."""

    explain: Literal["full", "top", "none"] = "full"


class KafkaTopics(Section):
    """Topic names by role."""

    images: TopicName = "images"
    predictions: TopicName = "predictions"
    anchors: TopicName = "anchors"
    classes: TopicName = "classes"
    dead_letters: TopicName = "dead-letters"
    drift: TopicName = "drift"
    labels: TopicName = "labels"
    waiting: TopicName = "waiting"
    to_label: TopicName = "to-label"

    @model_validator(mode="after")
    def _one_topic_a_role(self) -> "KafkaTopics":
        roles: dict[str, list[str]] = {}
        for role, name in self.model_dump().items():
            roles.setdefault(name, []).append(role)
        shared = [f"`{name}` is {' and '.join(of_name)}" for name, of_name in roles.items() if len(of_name) > 1]
        if shared:
            raise ValueError(f"each role needs a topic of its own; {'; '.join(shared)}")
        return self


class KafkaConfig(Section):
    """Connection, group and topics of the Kafka transport."""

    bootstrap_servers: Servers = f"localhost:{KAFKA_PORT}"
    topics: KafkaTopics = KafkaTopics()
    group_id: str = "stream-adapter"
    group_instance_id: str | None = None
    auto_offset_reset: Literal["earliest", "latest"] = "earliest"
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    transactional_id: str | None = None
    transaction_timeout_ms: Annotated[int, Field(ge=1_000, le=2**31 - 1), EXPONENT] = 10_000
    session_timeout_ms: Milliseconds = 45_000
    max_poll_interval_ms: Milliseconds = 300_000
    security: dict[str, ClientOption] = Field(default_factory=dict)
    consumer: dict[str, ClientOption] = Field(default_factory=dict)
    producer: dict[str, ClientOption] = Field(default_factory=dict)


class LabelFieldsConfig(Section):
    """Where in plain JSON the parts of a label are."""

    source: FieldPath = "source"
    id: FieldPath = "id"
    label: FieldPath = "label"
    annotator: FieldPath = "annotator"
    time: FieldPath = "time"
    reference: FieldPath = "reference"


class LabelsConfig(Section):
    """Labels that come apart from their events: what is kept for them, for how long, and where plain JSON has them."""

    fields: LabelFieldsConfig = LabelFieldsConfig()
    source: str | None = None
    wait_max_events: Count = 100_000
    wait_max_age: Seconds = 604_800.0
    early_max_age: Seconds = 3_600.0
    reference_max_events: Count = 100_000
    remembered_max_events: PositiveInt = 100_000
    suggest: Annotated[int, Field(ge=0, le=1_000)] = 20
    suggest_every_s: Seconds = 60.0


class FilesConfig(Section):
    """Input and output of the file transport."""

    input: FilePath
    format: Literal["auto", "folder", "manifest", "recorded", "vectors"] = "auto"
    output: FilePath
    labels: bool = True
    class_folder: Literal["own", "top"] = "own"
    labels_file: FilePath | None = None


class SnapshotsConfig(Section):
    """A worker's state on the disk, so that a start need not read the whole anchors topic."""

    folder: FilePath | None = None
    every_s: Seconds = 300.0
    keep: PositiveInt = 2


class DeadLetterLimit(Section):
    """When bad events are a flood: an alert, and the worker's end where none was good since its start."""

    max_share: Fraction = 0.5
    window: PositiveInt = 1_000
    min_events: PositiveInt = 200


def _with_canaries(adapter: AdapterConfig) -> AdapterConfig:
    return adapter.model_copy(update={"canaries": tuple(map(canonical_name, adapter.canaries))})


def _with_groups(drift: DriftSettings) -> DriftSettings:
    groups = {group: tuple(map(canonical_name, members)) for group, members in drift.groups.items()}
    return drift.model_copy(update={"groups": groups})


class Config(Section):
    """The root of a configuration file."""

    transport: Annotated[str, registered(TRANSPORTS)] = "kafka"
    encoder: EncoderConfig
    vocabulary: VocabularyConfig
    adapter: Annotated[AdapterConfig, AfterValidator(_with_canaries)] = AdapterConfig()
    events: EventsConfig = EventsConfig()
    labels: LabelsConfig = LabelsConfig()
    references: ReferencesConfig = ReferencesConfig()
    batch: BatchConfig = BatchConfig()
    predictions: PredictionsConfig = PredictionsConfig()
    kafka: KafkaConfig = KafkaConfig()
    files: FilesConfig | None = None
    transports: Annotated[dict[str, Any], AfterValidator(transport_sections)] = Field({}, validate_default=True)
    snapshots: SnapshotsConfig = SnapshotsConfig()
    drift: Annotated[DriftSettings, AfterValidator(_with_groups)] = DriftSettings()
    dead_letters: DeadLetterLimit = DeadLetterLimit()
    service: ServiceConfig = ServiceConfig()
    page: PageConfig = PageConfig()
    predict: PredictConfig = PredictConfig()
    label_studio: LabelStudioConfig = LabelStudioConfig()

    @model_validator(mode="after")
    def _files_are_named(self) -> "Config":
        if self.transport == "files" and self.files is None:
            raise ValueError("`transport: files` needs a `files` section with `input` and `output`")
        if self.transport == "kafka" and not self.kafka.bootstrap_servers:
            raise ValueError("`kafka.bootstrap_servers` is empty; name at least one broker as host:port")
        return self

    @model_validator(mode="after")
    def _labels_can_become_classes(self) -> "Config":
        if self.vocabulary.unknown_labels == "add" and self.encoder.pretrained_image is not None:
            raise ValueError(
                "`vocabulary.unknown_labels: add` needs a text tower, and `encoder.pretrained_image` is an image tower "
                "alone; set `encoder.pretrained` to a whole model"
            )
        return self

    @model_validator(mode="after")
    def _fetching_is_no_standstill(self) -> "Config":
        # A batch of references that nobody answers is fetched in so many rounds, and meanwhile nothing is committed.
        rounds = -(-self.batch.max_batch // self.references.parallel)
        longest = rounds * self.references.timeout_s + self.references.total_s
        if self.references.allow and longest >= self.service.stuck_after_s:
            raise ValueError(
                f"a batch may wait {longest:g} s for what it refers to, and a worker counts as stuck after "
                f"`service.stuck_after_s` = {self.service.stuck_after_s:g}; raise that or `references.parallel`, or "
                "lower `references.timeout_s`"
            )
        return self

    @model_validator(mode="after")
    def _decoding_is_no_standstill(self) -> "Config":
        if self.encoder.decode_s >= self.service.stuck_after_s:
            raise ValueError(
                f"`encoder.decode_s` = {self.encoder.decode_s:g} is not below `service.stuck_after_s` = "
                f"{self.service.stuck_after_s:g}: a worker that waits for one picture would count as stuck; lower it"
            )
        return self

    @model_validator(mode="after")
    def _folders_of_their_own(self) -> "Config":
        folder = self.snapshots.folder
        if self.transport == "files" and self.files is not None and folder is not None:
            for key in ("output", "input"):
                if os.path.realpath(folder) == os.path.realpath(getattr(self.files, key)):
                    raise ValueError(f"`snapshots.folder` and `files.{key}` are both {folder}; take a folder for each")
        return self

    @property
    def transport_settings(self) -> Any:
        """The settings of the transport in use: `kafka`, `files`, or its part of `transports`."""
        return self.transports[self.transport] if self.transport in self.transports else getattr(self, self.transport)
