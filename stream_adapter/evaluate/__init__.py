"""The field's protocols on image folders, manifests and feature files: is it better than X on my data?

All of it raises an `EvaluationError` where data, methods or settings cannot be used, or a report cannot be written.
"""
