"""From configuration to a ready encoder and its vocabulary; the text side is loaded only if it is needed."""

from collections.abc import Sequence

from stream_adapter.config import EncoderConfig, VocabularyConfig
from stream_adapter.encode.base import Encoder, Model, Vectors
from stream_adapter.encode.prompts import class_prompts
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.encode.vocabulary_file import VocabularyFile
from stream_adapter.errors import naming_extras
from stream_adapter.plugins import ENCODERS


@naming_extras()
def load_models(encoder: EncoderConfig, vocabulary: VocabularyConfig) -> tuple[Encoder, Vocabulary]:
    """Load the model and the classes.

    Classes are read before the model is, so that a slip in a list of names does not cost a minute of loading. What only
    texts need is dropped once the class vectors are made.

    Raises:
        EncoderError: the model cannot be loaded, or has no text tower where one is needed.
        PluginError: the encoder that is plugged in cannot be loaded.
        VocabularyError: the classes, prompts or class vectors do not fit together.
        FingerprintMismatch: the class vectors were made for another encoder.
        NotInstalled: what it needs comes with an extra.
    """
    if vocabulary.vectors is not None:
        file = VocabularyFile.read(vocabulary.vectors)
        model = _load(encoder, text=False)
        ready = model.encoder()
        return ready, file.fitted(d=ready.d, fingerprint=ready.fingerprint, logit_scale=model.logit_scale)
    prompts = class_prompts(vocabulary)
    model = _load(encoder, text=True)
    vectors = model.class_vectors(tuple(prompts.values()))
    classes = Vocabulary(tuple(prompts), vectors, model.logit_scale)
    return model.encoder(), classes


def load_encoder(encoder: EncoderConfig) -> Encoder:
    """Load the image side alone.

    Raises:
        EncoderError: the model cannot be loaded.
        PluginError: the encoder that is plugged in cannot be loaded.
    """
    return _load(encoder, text=False).encoder()


def class_names(vocabulary: VocabularyConfig) -> tuple[str, ...]:
    """The names of the configured classes; loads no model.

    Raises:
        VocabularyError: they cannot be read.
    """
    if vocabulary.vectors is not None:
        return VocabularyFile.read(vocabulary.vectors).class_names
    return tuple(class_prompts(vocabulary))


class ClassTexts:
    """Text vectors of classes that come later; loads the model's text side when it is first asked.

    Args:
        encoder: the model.
        vocabulary: templates, and how names are read.
    """

    def __init__(self, encoder: EncoderConfig, vocabulary: VocabularyConfig) -> None:
        self._encoder = encoder
        self._vocabulary = vocabulary
        self._model: Model | None = None

    def __call__(self, asked: Sequence[tuple[str, Sequence[str] | None]]) -> Vectors:
        """Float32 (n, d) of n names, each with its prompts; None: the templates of the configuration.

        Raises:
            EncoderError: the model cannot embed texts.
            VocabularyError: a template or prompt cannot be used.
        """
        own = {name: tuple(prompts) for name, prompts in asked if prompts is not None}
        fields = {"classes": tuple(name for name, _ in asked), "prompts": own, "classes_file": None, "vectors": None}
        prompts = class_prompts(self._vocabulary.model_copy(update=fields))
        return self.load().class_vectors(tuple(prompts.values()))

    def load(self) -> Model:
        """Load the model now.

        Raises:
            EncoderError: it cannot be.
        """
        if self._model is None:
            self._model = _load(self._encoder, text=True)
        return self._model


def _load(config: EncoderConfig, *, text: bool) -> Model:
    model: Model = ENCODERS.load(config.type)(config, text=text)
    return model
