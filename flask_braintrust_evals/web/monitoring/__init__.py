"""What is known of runs from outside: metrics, records, webhooks; and cancelling them."""
