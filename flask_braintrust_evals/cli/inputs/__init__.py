"""What is run: evaluators by name, cases from files, values of parameters."""
