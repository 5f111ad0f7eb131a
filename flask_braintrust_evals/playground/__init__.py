"""The local page: modules, styles and markup, and what makes one file of them.

Imports nothing else of this package.
"""
