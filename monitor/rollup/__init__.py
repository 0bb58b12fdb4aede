"""From journal rows to event rows and sums, exactly once."""
