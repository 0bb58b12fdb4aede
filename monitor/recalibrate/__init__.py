"""Refit, gate, promotion, trial and rollback of calibrators."""
