"""Bytes in, unit vectors out: pictures through the CLIP image tower, class names through the text tower.

`loading.load_models` is the way in; `base.Encoder` is all that the rest of the package knows of an encoder, and
`vocabulary.Vocabulary` all that it knows of the classes.
"""
