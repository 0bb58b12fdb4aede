"""Roll up journal rows into event rows and sums, each exactly once."""
