"""The whole configuration as pydantic models; `configs/default.yaml` documents every key."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from stream_adapter.config.plugged import (
    encoder_name,
    encoder_options,
    transport_name,
    transport_sections,
)
from stream_adapter.drift.settings import DriftSettings

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
TOKEN_LENGTH = 16


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else folder / path.expanduser()


def _checkpoint_beside_the_file(pretrained: str, info: ValidationInfo) -> str:
    """A hub tag stays as it is; a checkpoint is a file like any other."""
    is_file = Path(pretrained).suffix in {".safetensors", ".pt", ".pth", ".bin"}
    return str(_beside_the_file(Path(pretrained), info)) if is_file else pretrained


def _folder_beside_the_file(model: str, info: ValidationInfo) -> str:
    """A model in a folder of its own (`local-dir:…`) is a path as well."""
    schema, _, folder = model.partition(":")
    return f"local-dir:{_beside_the_file(Path(folder), info)}" if schema == "local-dir" and folder else model


FilePath = Annotated[Path, AfterValidator(_beside_the_file)]
ModelName = Annotated[str, AfterValidator(_folder_beside_the_file)]
TagOrCheckpoint = Annotated[str, AfterValidator(_checkpoint_beside_the_file)]


class Section(BaseModel):
    """Base of every section: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class EncoderConfig(Section):
    """Which CLIP embeds the pictures, and how."""

    type: Annotated[str, AfterValidator(encoder_name)] = "open_clip"
    options: Annotated[Any, AfterValidator(encoder_options), Field(validate_default=True)] = {}
    model: ModelName = "ViT-B-32"
    model_config_file: FilePath | None = None
    pretrained: TagOrCheckpoint | None = None
    pretrained_image: FilePath | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    decode_threads: PositiveInt = 2
    max_pixels: PositiveInt = 50_000_000
    max_bytes: PositiveInt = 20_000_000

    @model_validator(mode="after")
    def _one_source_of_weights(self) -> "EncoderConfig":
        if self.type != "open_clip":
            return self
        given = [name for name in ("pretrained", "pretrained_image") if getattr(self, name) is not None]
        if self.model.startswith(("hf-hub:", "local-dir:")):  # these bring their own; open_clip ignores any other
            given.insert(0, f"model: {self.model}")
        if not given:
            raise ValueError("needs weights: set `pretrained` (hub tag or checkpoint file) or `pretrained_image`")
        if len(given) > 1:
            raise ValueError(f"needs weights from one source, found {' and '.join(f'`{name}`' for name in given)}")
        return self


class VocabularyConfig(Section):
    """The classes, and where their text vectors come from."""

    vectors: FilePath | None = None
    classes: tuple[str, ...] | None = None
    classes_file: FilePath | None = None
    prompts: dict[str, tuple[str, ...]] = {}
    templates: Literal["openai", "simple", "none"] | tuple[str, ...] = "openai"
    unknown_labels: Literal["reject", "ignore"] = "reject"

    @model_validator(mode="after")
    def _one_source(self) -> "VocabularyConfig":
        given = [name for name in ("vectors", "classes", "classes_file") if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"found {' and '.join(given)}" if given else "found none"
            raise ValueError(f"needs exactly one of `vectors`, `classes`, `classes_file`; {found}")
        if self.vectors is not None and self.prompts:
            raise ValueError("`prompts` cannot change the class vectors of a `vectors` file; put them into its making")
        return self


class AnchorsConfig(Section):
    """How many anchors are kept, and how their neighbours are found."""

    budget: PositiveInt = 100_000
    budget_per_class: PositiveInt = 1_000
    index: Literal["auto", "hnsw", "exact"] = "auto"
    neighbours: PositiveInt = 16
    hnsw_m: Annotated[int, Field(ge=4, le=128)] = 16
    hnsw_ef_construction: PositiveInt = 100
    hnsw_ef_search: PositiveInt = 64
    recall_sample: Fraction = 0.01


class RefitConfig(Section):
    """When and how the linear maps are refitted to the anchors."""

    every_labels: PositiveInt = 32
    max_age_s: PositiveFloat = 1.0
    background: bool = True
    steps: PositiveInt = 100
    learning_rate: PositiveFloat = 1e-3
    rho: Annotated[float, Field(ge=0.0)] = 1e4
    max_anchors: PositiveInt = 1_024


class PresenceConfig(Section):
    """Which classes count as being in the traffic, though nobody labels them."""

    window: PositiveInt = 2_000
    kappa: Annotated[float, Field(gt=0.0, le=1.0)] = 0.002
    every_s: PositiveFloat = 1.0


class ResidualConfig(Section):
    """Local kernel ridge regression on what the maps leave."""

    neighbours: PositiveInt = 16
    beta: PositiveFloat = 3.0
    ridge: PositiveFloat = 0.1


class DiscriminantConfig(Section):
    """Classes around the means of anchors and of unlabelled traffic."""

    weight: Annotated[float, Field(ge=0.0, le=1_000.0)] = 18.0
    shrinkage: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5


class AdapterConfig(Section):
    """How predictions are adapted: method, gate, anchors, refit, traffic."""

    method: Literal["ours", "llu"] = "ours"
    gamma: PositiveFloat = 10.0
    damping: Fraction = 0.5
    protection: Annotated[float, Field(ge=-10.0, le=10.0)] = 0.5
    seed: int = 0
    canaries: tuple[str, ...] = ()
    anchors: AnchorsConfig = AnchorsConfig()
    refit: RefitConfig = RefitConfig()
    presence: PresenceConfig = PresenceConfig()
    residual: ResidualConfig = ResidualConfig()
    discriminant: DiscriminantConfig = DiscriminantConfig()


class BatchConfig(Section):
    """When a batch closes: at `max_batch` events or after `max_wait_ms`, whichever comes first."""

    max_batch: PositiveInt = 64
    max_wait_ms: Annotated[float, Field(ge=0.0)] = 50.0
    top_k: PositiveInt = 5


class KafkaTopics(Section):
    """Topic names by role."""

    images: str = "images"
    predictions: str = "predictions"
    anchors: str = "anchors"
    dead_letters: str = "dead-letters"
    drift: str = "drift"


class KafkaConfig(Section):
    """Connection, group and topics of the Kafka transport."""

    bootstrap_servers: str = "localhost:9092"
    topics: KafkaTopics = KafkaTopics()
    group_id: str = "stream-adapter"
    group_instance_id: str | None = None
    auto_offset_reset: Literal["earliest", "latest"] = "earliest"
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    transactional_id: str | None = None
    transaction_timeout_ms: Annotated[int, Field(ge=1_000)] = 10_000
    session_timeout_ms: PositiveInt = 45_000
    max_poll_interval_ms: PositiveInt = 300_000
    security: dict[str, str | int | bool] = {}
    consumer: dict[str, str | int | float | bool] = {}
    producer: dict[str, str | int | float | bool] = {}


class FilesConfig(Section):
    """Input and output of the file transport."""

    input: FilePath
    format: Literal["auto", "folder", "manifest", "recorded"] = "auto"
    output: FilePath
    labels: bool = True


class SnapshotsConfig(Section):
    """A worker's state on the disk, so that a start need not read the whole anchors topic."""

    folder: FilePath | None = None
    every_s: PositiveFloat = 300.0
    keep: PositiveInt = 2


class DeadLetterLimit(Section):
    """When too many events are bad, the worker stops instead of dead-lettering a whole topic."""

    max_share: Fraction = 0.5
    window: PositiveInt = 1_000
    min_events: PositiveInt = 200


class ServiceConfig(Section):
    """Being a service: HTTP, shutdown, logs."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    http: bool = True
    drain_s: PositiveFloat = 20.0
    stuck_after_s: PositiveFloat = 60.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "human", "json"] = "auto"


def _words(value: object) -> object:
    """YAML reads a bare `on` or `off` as a truth value."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class PageConfig(Section):
    """The live page at `/`: who sees it and what on it, and who may delete anchors there."""

    mode: Annotated[Literal["auto", "off", "read_only", "full"], BeforeValidator(_words)] = "auto"
    token: SecretStr | None = None
    hosts: tuple[str, ...] = ()
    pictures: Annotated[Literal["auto", "on", "off"], BeforeValidator(_words)] = "auto"
    pictures_per_s: PositiveFloat = 4.0
    keep_pictures: PositiveInt = 500

    @model_validator(mode="after")
    def _token_where_it_protects(self) -> "PageConfig":
        # Checked here and not at the key, whose error would show what was found.
        if self.token is not None and 0 < len(self.token.get_secret_value()) < TOKEN_LENGTH:
            raise ValueError(f"`token` is too short to be safe; take at least {TOKEN_LENGTH} random characters")
        if self.mode == "full" and not (self.token and self.token.get_secret_value()):
            raise ValueError("`mode: full` lets people delete anchors; set a `token` that they must know")
        return self


class Config(Section):
    """The root of a configuration file."""

    transport: Annotated[str, AfterValidator(transport_name)] = "kafka"
    encoder: EncoderConfig
    vocabulary: VocabularyConfig
    adapter: AdapterConfig = AdapterConfig()
    batch: BatchConfig = BatchConfig()
    kafka: KafkaConfig = KafkaConfig()
    files: FilesConfig | None = None
    transports: Annotated[dict[str, Any], AfterValidator(transport_sections), Field(validate_default=True)] = {}
    snapshots: SnapshotsConfig = SnapshotsConfig()
    drift: DriftSettings = DriftSettings()
    dead_letters: DeadLetterLimit = DeadLetterLimit()
    service: ServiceConfig = ServiceConfig()
    page: PageConfig = PageConfig()

    @model_validator(mode="after")
    def _files_are_named(self) -> "Config":
        if self.transport == "files" and self.files is None:
            raise ValueError("`transport: files` needs a `files` section with `input` and `output`")
        return self

    @property
    def transport_settings(self) -> Any:
        """The settings of the transport in use: `kafka`, `files`, or its part of `transports`."""
        return self.transports[self.transport] if self.transport in self.transports else getattr(self, self.transport)
