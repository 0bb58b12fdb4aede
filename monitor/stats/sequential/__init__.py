"""Sequential tests that stay valid under continuous monitoring: e-processes, their bets and their ledger."""
