"""What an engine remembers between runs, by content and within budgets."""
