"""Looking after the record and the account: reconcile, audit verify, backup."""
