"""Re-running of records: a measurement is repeated from its ledger record and compared."""
