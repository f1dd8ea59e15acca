"""Users' own locustfiles, correct and incorrect ones."""

from __future__ import annotations

IMPORTS = """
import time
import gevent
from locust import HttpUser, LoadTestShape, TaskSet, between, tag, task
from loadproof.users.user import ApiUser, expect

"""
GET = 'self.send(self.api.call("GET", "{path}"), lambda reply: expect(reply["status"] == "ok", "no"))'
ITEMS, CART, LOGIN = (GET.format(path=path) for path in ("/items", "/cart", "/login"))


def file(*tasks: str, more: str = "", endpoint: str = "shop", base: str = "ApiUser", name: str = "Shopper") -> str:
    """A locustfile with one user whose only task consists of these lines."""
    lines = "\n".join(f"        {line}" for line in tasks or (ITEMS,))
    return (
        f"{IMPORTS}class {name}({base}):\n    endpoint = {endpoint!r}\n{more}\n    @task\n    def ask(self):\n{lines}\n"
    )


def method(name: str, *lines: str) -> str:
    body = "\n".join(f"        {line}" for line in lines)
    return f"\n    def {name}(self):\n{body}\n"


BODIES = [
    f'self.send(self.api.call("POST", "/search", body={body}), lambda reply: expect(reply["status"] == "ok", "no"))'
    for body in ('{"filter.status": "open", "a": None}', "{}", '[1, {"b.c": 2}]')
]
HTTP_USER = f"""{IMPORTS}
class Shopper(HttpUser):
    wait_time = between(1, 3)

    @task
    def ask(self):
        self.client.get("/items")
"""
TASK_SET = file(more='    tasks = [type("Set", (TaskSet,), {})]\n')
SHAPE = file() + "\n\nclass Shape(LoadTestShape):\n    def tick(self):\n        return (100, 100)\n"
TWO = file() + "\n\n" + file(name="Second").removeprefix(IMPORTS)
PAY = """
    @task
    {define} pay(self):
        {body}
"""
COROUTINE = file(more=PAY.format(define="async def", body=CART))
GENERATOR = file(more=PAY.format(define="def", body=f"yield {CART}"))
"""A faulty task in addition to a valid one."""
TAGGED = file(
    GET.format(path="/items"),
    more=f"""
    @tag("slow")
    @task
    def fill(self):
        {CART}
""",
)
"""Two tasks, one with a tag by which Locust could exclude it."""
SHOP_MIX = {"shop": {"share": "100 %", "every": "200 ms"}}
OPEN_SHOP_MIX = {"shop": {"share": "100 %"}}
