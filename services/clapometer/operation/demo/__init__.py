"""The demo's parts: its own service, what it reads of its lake, what it prints."""
