"""The blueprint: its routes and views, and the registration of evaluators.

No other package imports this one.
"""
