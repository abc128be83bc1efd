"""From configuration to a ready encoder and its vocabulary; the text side is loaded only if it is needed."""

from stream_adapter.config import EncoderConfig, VocabularyConfig
from stream_adapter.encode.base import Encoder, Model
from stream_adapter.encode.prompts import class_prompts
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.encode.vocabulary_file import VocabularyFile
from stream_adapter.plugins import ENCODERS


def load_models(encoder: EncoderConfig, vocabulary: VocabularyConfig) -> tuple[Encoder, Vocabulary]:
    """Load the model and the classes.

    Classes are read before the model is, so that a slip in a list of names does not cost a minute of loading. What only
    texts need is dropped once the class vectors are made.

    Raises:
        EncoderError: the model cannot be loaded, or has no text tower where one is needed.
        PluginError: the encoder that is plugged in cannot be loaded.
        VocabularyError: the classes, prompts or class vectors do not fit together.
        FingerprintMismatch: the class vectors were made for another encoder.
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


def _load(config: EncoderConfig, *, text: bool) -> Model:
    model: Model = ENCODERS.load(config.type)(config, text=text)
    return model
