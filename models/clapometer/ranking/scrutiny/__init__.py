"""Reasons to doubt an estimate: audits, repeated looks, robustness, exposure."""
