"""What a person does beside the worker: look at anchors, delete some, look at dead letters, send them back, record."""
