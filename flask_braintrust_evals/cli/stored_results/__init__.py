"""The format of results, and the files and folders that keep them."""
