"""A locustfile: users of a shop, each of whom logs in once."""

LOGGING_IN = """
from locust import task
from loadproof.users.user import ApiUser

class ShopUser(ApiUser):
    endpoint = "shop"

    def on_start(self):
        self.send(self.api.ask_health(), lambda reply: None)

    @task
    def ask(self):
        self.send(self.api.ask_health(), lambda reply: None)
"""
