"""Runs other people's SQL over the published lake: one statement, one process, nothing but their own tenant's rows."""

from clapometer.serving.sandbox.formats import MEDIA_TYPES, as_csv, rows
from clapometer.serving.sandbox.job import Format, Job
from clapometer.serving.sandbox.process import Answer, run_job
from clapometer.serving.sandbox.statement import StatementError
from clapometer.serving.sandbox.types import batches, fitted

__all__ = ["MEDIA_TYPES", "Answer", "Format", "Job", "StatementError", "as_csv", "batches", "fitted", "rows", "run_job"]
