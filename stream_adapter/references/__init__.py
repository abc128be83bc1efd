"""Pictures that are stored elsewhere: which may be fetched, and how."""

from stream_adapter.references.fetching import References

__all__ = ["References"]
