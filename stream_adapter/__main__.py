"""`python -m stream_adapter` is the same as `stream-adapter`."""

from stream_adapter.cli import main

if __name__ == "__main__":
    main()
