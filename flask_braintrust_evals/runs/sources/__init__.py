"""Where the cases of a run are from: the request, the evaluator, or Braintrust."""
