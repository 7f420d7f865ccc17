"""The API: routes of rankings, slates and SQL, their parameters and their documentation."""
