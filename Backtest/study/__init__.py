"""Parameter studies over backtesting.py's own `optimize`, on all processors of this machine or on a cluster (docs/optimize.md)."""
