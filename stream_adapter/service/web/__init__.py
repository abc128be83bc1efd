"""What is asked of a worker over HTTP: its health and metrics, and predictions beside the stream."""
