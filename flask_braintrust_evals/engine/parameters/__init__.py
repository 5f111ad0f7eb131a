"""Declares, validates and renders parameters, prompts among them."""
