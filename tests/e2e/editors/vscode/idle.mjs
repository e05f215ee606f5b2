// A window with a file open in which nobody does anything, until a file says that this was enough.

import fs from "node:fs";
import path from "node:path";
import { Window } from "./page.mjs";

export async function run(page, job) {
  const window = new Window(page, job);
  await window.open("stock.py");
  if (job.served) await window.status("Qwen: ready");
  fs.writeFileSync(path.join(job.scratch, "still"), "");
  while (!fs.existsSync(path.join(job.scratch, "enough"))) await page.waitForTimeout(500);
  fs.appendFileSync(job.outcomes, `${JSON.stringify({ name: "still", error: "", ms: 0 })}\n`);
  return 0;
}
