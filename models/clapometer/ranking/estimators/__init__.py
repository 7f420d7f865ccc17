"""From comparisons and cells to strengths with intervals."""
