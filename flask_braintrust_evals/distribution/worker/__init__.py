"""A process that runs cases of orders, and reports to their owners."""
