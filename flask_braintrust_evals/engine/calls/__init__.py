"""How tasks and scorers are called: their names, signatures and locations."""
