"""The default method: zero-shot, presence, purity and class means, as docs/method.md states it."""
