"""What the demo runs on: drawn pictures, the captions they go with, and the small CLIP that was trained on them."""
