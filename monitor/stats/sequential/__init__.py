"""Sequential tests, valid however often one looks: e-processes, their bets and their ledger."""
