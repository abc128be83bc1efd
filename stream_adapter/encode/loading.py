"""From configuration to a ready encoder and its vocabulary; the text tower is loaded only if it is needed."""

import dataclasses

from stream_adapter.config import EncoderConfig, VocabularyConfig
from stream_adapter.encode.clip import ClipEncoder, pick_device
from stream_adapter.encode.prompts import class_prompts
from stream_adapter.encode.text import class_vectors
from stream_adapter.encode.towers import load_towers
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.encode.vocabulary_file import VocabularyFile


def load_models(encoder: EncoderConfig, vocabulary: VocabularyConfig) -> tuple[ClipEncoder, Vocabulary]:
    """Load the model and the classes.

    Classes are read before the model is, so that a slip in a list of names does not cost a minute of loading. The text
    tower is dropped once the class vectors are made.

    Raises:
        EncoderError: the model cannot be loaded, or has no text tower where one is needed.
        VocabularyError: the classes, prompts or class vectors do not fit together.
        FingerprintMismatch: the class vectors were made for another encoder.
    """
    if vocabulary.vectors is not None:
        file = VocabularyFile.read(vocabulary.vectors)
        towers = load_towers(encoder, text=False)
        clip = ClipEncoder(towers, encoder)
        return clip, file.fitted(d=clip.d, fingerprint=clip.fingerprint, logit_scale=towers.logit_scale)
    prompts = class_prompts(vocabulary)
    towers = load_towers(encoder, text=True)
    vectors = class_vectors(towers, tuple(prompts.values()), pick_device(encoder.device))
    classes = Vocabulary(tuple(prompts), vectors, towers.logit_scale)
    towers = dataclasses.replace(towers, text=None, tokenizer=None)
    return ClipEncoder(towers, encoder), classes


def load_encoder(encoder: EncoderConfig) -> ClipEncoder:
    """Load the image tower alone.

    Raises:
        EncoderError: the model cannot be loaded.
    """
    return ClipEncoder(load_towers(encoder, text=False), encoder)
