// A headless Chromium that shows code-server. `node browser.mjs JOB.json`: the job names the address, the Chromium, the
// folder of playwright-core, and what to do: run a suite inside the extension host, or the steps of a module in the page.

import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"];
const QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb"];

const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const { chromium } = createRequire(path.join(job.modules, "x"))("playwright-core");

const context = await chromium.launchPersistentContext(path.join(job.scratch, "chromium"), {
  executablePath: job.chromium,
  headless: true,
  viewport: { width: 1280, height: 800 },
  args: [...ARGUMENTS, ...QUIET],
});
const page = context.pages()[0] ?? (await context.newPage());
const elsewhere = new Set();
const WEBVIEW = ".vscode-resource.vscode-cdn.net"; // answered by the page's own service worker, from code-server
page.on("request", (request) => {
  const { protocol, hostname } = new URL(request.url());
  if (protocol.startsWith("http") && hostname !== "127.0.0.1" && !hostname.endsWith(WEBVIEW)) elsewhere.add(hostname);
});

const opened = job.workspace ? `workspace=${job.workspace}` : `folder=${job.project}`;
let code = 1;
try {
  code = job.suite ? await inHost() : await inPage();
} catch (error) {
  console.error(error.stack);
  await page.screenshot({ path: path.join(job.scratch, "failed.png") }).catch(() => undefined);
} finally {
  fs.writeFileSync(path.join(job.scratch, "hosts.json"), JSON.stringify([...elsewhere]));
  await context.close();
}
process.exit(code);

/** The suite's own end is the result; what it logs is passed on. */
async function inHost() {
  let end = () => undefined;
  await page.exposeFunction("codeAutomationExit", async (result) => end(result));
  await page.exposeFunction("codeAutomationLog", (type, args) => type === "log" && console.log(...args));
  const remote = (file) => `vscode-remote://${new URL(job.address).host}${file}`;
  const payload = [
    ["extensionDevelopmentPath", remote(path.dirname(job.suite))],
    ["extensionTestsPath", remote(job.suite)],
    ["skipWelcome", "true"],
  ];
  const late = new Promise((resolve) => setTimeout(resolve, job.timeoutMs, "late"));
  // code-server 1.139 may open a workspace without its folders; the suite ends before it begins then.
  for (let left = job.workspace ? 8 : 1; left > 0; left -= 1) {
    const ended = new Promise((resolve) => (end = resolve));
    await page.goto(`${job.address}/?${opened}&payload=${encodeURIComponent(JSON.stringify(payload))}`);
    const result = await Promise.race([ended, late]);
    if (result === 0) return 0;
    if (result === "late" || fs.readFileSync(job.outcomes, "utf8") !== "") break;
  }
  await page.screenshot({ path: path.join(job.scratch, "failed.png") });
  return 1;
}

async function inPage() {
  await page.goto(`${job.address}/?${opened}`);
  await page.waitForSelector(".monaco-workbench .part.editor", { timeout: 60_000 });
  const { run } = await import(pathToFileURL(job.steps).href);
  return run(page, job);
}
