"""Faults of every kind, injected at random into workers, broker, network, disk and stream."""
