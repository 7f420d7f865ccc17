"""Export: the preference labels of a run as the files that a trainer reads."""

__all__: list[str] = []
