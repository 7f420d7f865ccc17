"""Slates: scores of clips, policies that choose among them, propensities; the sessions for which pages may ask."""
