"""The page that shows an OpenAPI document; it needs nothing from the internet."""

from pathlib import Path

SWAGGER = Path(__file__).parent / "swagger"
"""Swagger UI as its authors publish it (Apache-2.0), and the script that starts it; mounted at ``/docs/static``."""

DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="docs/static/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/static/swagger-ui-bundle.js"></script>
<script src="docs/static/start.js"></script>
</body>
</html>
"""


def docs_page(title: str) -> str:
    """Returns the HTML of the page."""
    return _PAGE.format(title=title)
