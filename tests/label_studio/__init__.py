"""A real Label Studio in front of the backend: `make label-studio-test`."""
