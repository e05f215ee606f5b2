// What editor and server said to each other, as tee.py writes it down, and the daemon behind them.

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const { until } = require("./harness");

/** All lines so far. The last one may be half written. */
function traffic() {
  const lines = fs.readFileSync(process.env.QWEN_TEST_TRAFFIC, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line));
}

/** The messages of one method, from `since` on, in either direction. */
const sent = (method, since = 0) =>
  traffic().slice(since).map(({ message }) => message).filter((message) => message?.method === method);

const now = () => traffic().length;

/** The first message of a method after `since` that fits. */
const said = (method, since, fits = () => true) =>
  until(`${method} is sent`, () => sent(method, since).find(({ params }) => fits(params)));

const inference = (...args) =>
  execFileSync(process.env.QWEN_TEST_PYTHON, ["-m", "inference", ...args], { encoding: "utf8" });

/** The one daemon that is ready, as `inference status` tells it. */
function daemon() {
  const [found] = JSON.parse(inference("status", "--json")).filter(({ state }) => state === "ready");
  return found;
}

/** Do something while the daemon answers nothing. */
async function held(work) {
  const { pid } = daemon();
  process.kill(pid, "SIGSTOP");
  try {
    return await work();
  } finally {
    process.kill(pid, "SIGCONT");
  }
}

module.exports = { daemon, held, now, said, sent, traffic };
