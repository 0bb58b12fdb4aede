"""A real classifier on real images, served, broken and repaired: `python -m monitor.demo`.

The demo uses the system from outside, as anybody would: a server of its own, the client, the API.
"""
