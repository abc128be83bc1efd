"""What every released version wrote, recorded; every later one is held to read it."""
