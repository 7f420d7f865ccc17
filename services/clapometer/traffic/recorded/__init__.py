"""Recorded engagement: files of events and KuaiRand, row by row."""
