"""The default method: zero-shot, presence, purity and class means, from anchors and a window of traffic (docs/method.md)."""
