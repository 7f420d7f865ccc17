"""Operation: objects built from the settings, the supervisor of `up`, what `doctor` looks at."""
