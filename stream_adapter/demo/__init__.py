"""What the demo runs on: drawn pictures, the captions they go with, and the small CLIP that was trained on them.

Whatever keeps it from running is a `StreamAdapterError`, which holds the end of the log where there is one.
"""
