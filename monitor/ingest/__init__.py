"""From a request body to a committed journal row."""
