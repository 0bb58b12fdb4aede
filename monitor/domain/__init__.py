"""Plain nouns of the domain, safe for the client too: no SQL, no NumPy, no web."""
