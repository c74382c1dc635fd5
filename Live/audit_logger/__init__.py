"""The record: one SQLite file from which every decision can be read. Writing is here, reading in `reader`."""

from Live.audit_logger.opening import check_record
from Live.audit_logger.rows import to_json
from Live.audit_logger.writer import AuditLogger

__all__ = ["AuditLogger", "check_record", "to_json"]
