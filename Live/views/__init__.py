"""The record in a terminal: `status`, tables of what happened, and the log as it grows. They only read."""
