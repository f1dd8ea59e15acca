"""What a scenario sends: its phases, its users and their data, their retries, a plain locustfile's."""
