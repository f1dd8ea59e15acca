// The balance user as one writes it for k6, with the checks of loadproof's.
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
