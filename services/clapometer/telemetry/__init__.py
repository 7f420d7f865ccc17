"""Telemetry: logs, traces and metrics of every process."""
