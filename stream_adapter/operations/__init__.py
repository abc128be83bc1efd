"""What a person does beside the worker: look at anchors, delete some, look at dead letters, send them back, record.

All of it raises a `TransportError` where topics or files cannot be read or written, and, about classes, a
`VocabularyError` where a name is not what it must be.
"""
