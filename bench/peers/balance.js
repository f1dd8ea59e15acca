// The balance user written for k6, with loadproof's checks.
import http from "k6/http";
import { check } from "k6";

const url = `${__ENV.BASE_URL}/balance/acct-000000`;
let known = null;

export default function () {
  const response = http.get(url);
  check(response, {
    "is this account's balance": (answer) => {
      if (answer.status !== 200) return false;
      const body = answer.json();
      const unchanged = known === null || known === body.balance;
      known = body.balance;
      return body.account === "acct-000000" && body.balance >= 0 && unchanged;
    },
  });
}
