"""Keeps a frozen CLIP learning from a live stream of labelled images, without losing what it knew."""

import os

__version__ = "0.1.0"

# The encoder and the background refit share the cores. With OpenMP's default, threads that wait spin, and a fit that
# takes half a second takes three, or eighteen beside one more busy process. Read when torch is loaded, so set first.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
