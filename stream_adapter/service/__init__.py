"""Being a service: the worker's loop, its wiring, HTTP and logs."""
