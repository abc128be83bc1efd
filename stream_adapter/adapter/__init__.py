"""Unit image vectors and labels in, adapted probabilities out. No I/O, no clock, no Kafka in here."""
