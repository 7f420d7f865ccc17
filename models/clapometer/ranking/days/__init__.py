"""Days and ages of clips: when they could be shown, what time does to a label, and what is not known of that."""
