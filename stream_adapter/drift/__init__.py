"""How good the predictions are and whether the stream has changed. Pure: no I/O, no clock."""
