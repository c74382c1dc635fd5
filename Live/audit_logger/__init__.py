"""The record: one SQLite file from which every decision can be read. Writing is here, reading in `reader`."""

from Live.audit_logger.writer import AuditLogger, to_json

__all__ = ["AuditLogger", "to_json"]
