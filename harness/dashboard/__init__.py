"""The live terminal dashboard: the only room of the project that imports Textual."""
