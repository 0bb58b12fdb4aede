"""Watch whether a model in production still means what it says, and repair it when it does not."""
