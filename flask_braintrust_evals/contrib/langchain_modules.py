"""Names the modules of the ``braintrust`` SDK that hold its handler for LangChain."""

LANGCHAIN_MODULES = ("braintrust.integrations.langchain.context", "braintrust_langchain.context")
"""The one of current versions, and the one of the package that was for LangChain alone."""
