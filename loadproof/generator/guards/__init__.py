"""Guards against users' own code: other hosts, secrets in output, processes left behind, exceptions."""
