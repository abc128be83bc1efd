"""The sections about the model: which CLIP embeds, what the classes are, and how predictions are adapted."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from stream_adapter.config.plugged import encoder_options, learner_sections, registered
from stream_adapter.config.values import (
    EXPONENT,
    Deviation,
    FilePath,
    Fraction,
    ModelName,
    Patience,
    PositiveInt,
    Seconds,
    Seed,
    TagOrCheckpoint,
    Threads,
)
from stream_adapter.plugins import ENCODERS, LEARNERS


class Section(BaseModel):
    """Base of every section: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class PreprocessConfig(Section):
    """How pictures are prepared for a checkpoint that does not say so itself; values as in open_clip."""

    mean: tuple[Fraction, Fraction, Fraction]
    std: tuple[Deviation, Deviation, Deviation]
    interpolation: Literal["bicubic", "bilinear"]
    resize_mode: Literal["shortest", "longest", "squash"]
    size: Annotated[int, Field(ge=1, le=16_384), EXPONENT] | None = None


class EncoderConfig(Section):
    """Which CLIP embeds the pictures, and how."""

    type: Annotated[str, registered(ENCODERS)] = "open_clip"
    options: Annotated[Any, AfterValidator(encoder_options), Field(validate_default=True)] = {}
    model: ModelName = "ViT-B-32"
    model_config_file: FilePath | None = None
    pretrained: TagOrCheckpoint | None = None
    pretrained_image: FilePath | None = None
    preprocess: PreprocessConfig | None = None
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    threads: Threads | None = None
    decode_threads: Threads = 2
    decode_s: Patience = 30.0
    max_pixels: PositiveInt = 50_000_000
    max_bytes: PositiveInt = 20_000_000
    exif_orientation: bool = True

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
    underscores_as_blanks: bool = True
    unknown_labels: Literal["reject", "ignore", "add"] = "reject"

    @model_validator(mode="after")
    def _one_source(self) -> "VocabularyConfig":
        given = [name for name in ("vectors", "classes", "classes_file") if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"found {' and '.join(given)}" if given else "found none"
            raise ValueError(f"needs exactly one of `vectors`, `classes`, `classes_file`; {found}")
        if self.vectors is not None and self.prompts:
            raise ValueError("`prompts` cannot change the class vectors of a `vectors` file; put them into its making")
        return self


Candidates = Annotated[int, Field(ge=1, le=100_000), EXPONENT]


class AnchorsConfig(Section):
    """How many anchors are kept, and how their neighbours are found."""

    budget: PositiveInt = 100_000
    budget_per_class: PositiveInt = 1_000
    index: Literal["auto", "hnsw", "exact"] = "auto"
    neighbours: Annotated[int, Field(ge=1, le=1_000), EXPONENT] = 16
    hnsw_m: Annotated[int, Field(ge=4, le=128)] = 16
    hnsw_ef_construction: Candidates = 100
    hnsw_ef_search: Candidates = 64
    recall_sample: Fraction = 0.01


class RefitConfig(Section):
    """When and how the linear maps of `llu` are refitted to the anchors."""

    every_labels: PositiveInt = 32
    max_age_s: Seconds = 1.0
    background: bool = True
    steps: Annotated[int, Field(ge=1, le=1_000_000), EXPONENT] = 100
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] = 1e-3
    rho: Annotated[float, Field(ge=0.0, le=1e12)] = 1e4
    max_anchors: Annotated[int, Field(ge=1, le=1_000_000), EXPONENT] = 1_024


Nats = Annotated[float, Field(ge=0.0, le=10.0)]


class MixtureConfig(Section):
    """The default method, see docs/method.md."""

    window: Annotated[int, Field(ge=1, le=1_000_000), EXPONENT] = 2_000
    reach: Annotated[float, Field(ge=1e-6, le=2.0)] | None = None
    every_s: Seconds = 1.0


class LatentUpdatesConfig(Section):
    """Localized Latent Updates as published."""

    gamma: Annotated[float, Field(gt=0.0, le=1e6)] = 10.0
    gate: Fraction = 1.0
    refit: RefitConfig = RefitConfig()


class AdapterConfig(Section):
    """How predictions are adapted: the method, its anchors, and what it must never learn."""

    method: Annotated[str, registered(LEARNERS)] = "mixture"
    shadow: Annotated[str | None, registered(LEARNERS)] = None
    seed: Seed = 0
    canaries: tuple[str, ...] = ()
    protection: Nats = 0.4
    protect: dict[str, Nats] = {}
    labels: Literal["sampled", "chosen"] = "sampled"
    unknown_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    anchors: AnchorsConfig = AnchorsConfig()
    mixture: MixtureConfig = MixtureConfig()
    llu: LatentUpdatesConfig = LatentUpdatesConfig()
    methods: Annotated[dict[str, Any], AfterValidator(learner_sections), Field(validate_default=True)] = {}
