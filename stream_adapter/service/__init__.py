"""Being a service: the worker's loop, its wiring, HTTP and logs.

Whatever keeps a worker from starting, or ends it, is a `StreamAdapterError`: the configuration, models, the transport.
"""
