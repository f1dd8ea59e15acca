// The balance user under k6's open model: RATE iterations per second for SECONDS.
import balance from "./balance.js";

export const options = {
  scenarios: {
    steady: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE),
      timeUnit: "1s",
      duration: `${__ENV.SECONDS}s`,
      preAllocatedVUs: Number(__ENV.VUS),
      maxVUs: Number(__ENV.VUS),
      gracefulStop: "10s",
    },
  },
  summaryTrendStats: ["p(50)", "p(90)", "p(95)", "p(99)", "p(99.9)"],
};

export default balance;
