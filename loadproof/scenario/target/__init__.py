"""Target files, checked: operations, limits, headers, authentication, TLS, commands, variables."""
