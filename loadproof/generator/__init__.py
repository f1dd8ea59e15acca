"""Inside Locust's processes: the plan is sent, on time, by one process or a crew."""
