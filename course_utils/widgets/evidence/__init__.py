"""Evidence panel: the ledger's records, shown and run again."""
