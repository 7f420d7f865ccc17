"""Jobs: load, fold, train, schedule. Import the module of the job, so that no job pays for the others."""

__all__: list[str] = []
