"""`python -m Live doctor`: everything that a start needs, looked at one by one, with the remedy beside what is not well.

It looks and changes nothing: no order, no account file, no database, no symbol put into Market Watch.
"""

from Live.doctor.consultation import consult
from Live.doctor.examination import examine
from Live.doctor.findings import Finding, Grade

__all__ = ["Finding", "Grade", "consult", "examine"]
