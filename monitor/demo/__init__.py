"""A real classifier on real images, served, broken and repaired: `python -m monitor.demo`.

It uses only what users have: a server process, the client and the API.
"""
