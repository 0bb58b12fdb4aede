"""The only SQL: functions on a Connection that the caller owns."""
