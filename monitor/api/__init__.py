"""The HTTP side: routes, keys, page."""
