"""What Braintrust keeps of a run: where it is recorded, its commit, its comparison."""
