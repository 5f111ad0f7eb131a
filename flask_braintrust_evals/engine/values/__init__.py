"""Values that go in and come out: cases, scores, results, summaries, events."""
