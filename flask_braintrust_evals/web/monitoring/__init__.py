"""Lists and cancels runs, and reports them: metrics, the log, the webhook."""
