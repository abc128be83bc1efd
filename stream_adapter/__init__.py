"""Keeps a frozen CLIP learning from a live stream of labelled images, without losing what it knew."""

__version__ = "0.1.0"
