"""The way in and the way out: topics or files, behind the protocols of `base.py`."""
