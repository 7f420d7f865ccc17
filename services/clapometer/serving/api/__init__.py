"""The API: routes of rankings and SQL, their parameters and their documentation."""
