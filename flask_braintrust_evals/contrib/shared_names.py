"""Names the context variables of other libraries that cases share with the application."""

LANGCHAIN = "braintrust_callback_handler_var"
"""The ``braintrust`` SDK's global handler for LangChain."""
_DEFAULT_MODEL = "_default_model_var"

SHARED_VARIABLES = {
    "braintrust.integrations.langchain.context": (LANGCHAIN,),
    "braintrust_langchain.context": (LANGCHAIN,),  # of the package that was for LangChain alone
    "autoevals.oai": ("_client_var", _DEFAULT_MODEL, "_default_embedding_model_var"),
    "autoevals.ragas": (_DEFAULT_MODEL,),
}
"""The modules, and the names of the variables in each. Several may have the same variable."""
