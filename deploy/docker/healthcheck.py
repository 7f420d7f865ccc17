"""Ends with 0 if every address given answers 200, else with 1 and the reason."""

import sys
import urllib.error
import urllib.request

for address in sys.argv[1:]:
    try:
        with urllib.request.urlopen(address, timeout=4) as answer:  # noqa: S310 - addresses of our own
            answer.read()
    except (OSError, ValueError) as error:
        sys.exit(f"{address}: {error}")
if len(sys.argv) == 1:
    sys.exit("healthcheck.py URL …: which addresses are to be asked?")
