"""How the small CLIP of the demo was trained; no part of the package."""
