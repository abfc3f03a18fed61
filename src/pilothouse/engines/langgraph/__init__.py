"""LangGraph graphs as engines. Only `project` may be imported without paying for LangGraph's own import."""
