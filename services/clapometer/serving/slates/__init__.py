"""Slates: scores of clips, policies that choose among them, propensities."""
