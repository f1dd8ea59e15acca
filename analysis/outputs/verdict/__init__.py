"""The models of verdict.json for runs and for other tools' files, its schema, and its writer."""
