"""The page "When would a quantum computer help?": its data, from the package, and its looks."""
