"""The HTTP edge under collector and serving: connections, headers, bodies, access, problems, the documentation page."""
