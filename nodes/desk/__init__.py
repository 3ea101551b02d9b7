"""What the desk hears and asks: events of a run, routes of the server. The contract is docs/desk.md."""
