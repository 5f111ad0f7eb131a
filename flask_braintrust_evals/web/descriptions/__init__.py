"""Descriptions of evaluators and endpoints: the answer of ``/list``, and OpenAPI."""
