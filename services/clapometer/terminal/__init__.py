"""Text for terminals: everything printed goes through here, tables, progress, answers and shell of SQL."""
