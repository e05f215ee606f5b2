// What a user does in the window by keyboard and mouse, in a few words. Knows no extension.

import fs from "node:fs";
import path from "node:path";

export const WAIT = { timeout: 60_000 };

export class Window {
  constructor(page, job) {
    Object.assign(this, { page, job, answers: job.answers });
  }

  /** The one thing of that kind whose text fits, as soon as it is there. */
  async find(selector, hasText) {
    const found = this.page.locator(selector, { hasText }).first();
    await found.waitFor(WAIT);
    return found;
  }

  async click(selector, hasText) {
    await (await this.find(selector, hasText)).click(WAIT);
  }

  /** A row of a list that `ask` opens. A list that a slow machine loses is asked for again. */
  async row(list, hasText, ask) {
    const found = this.page.locator(`${list} .monaco-list-row`, { hasText }).first();
    await this.until(`${hasText} is listed`, async () => {
      await ask();
      return found.waitFor({ timeout: 6_000 }).then(() => true, () => false);
    });
    return found;
  }

  /** Where a file's text is typed; the file is opened by its name. */
  async open(name) {
    const entry = await this.row(".quick-input-list", name, async () => {
      await this.page.keyboard.press("Escape");
      await this.page.keyboard.press("Control+p");
      await this.page.keyboard.type(name, { delay: 20 });
    });
    await entry.click(WAIT); // Enter would take what is first just then
    await this.find(".tab.active", name);
    await this.focus();
  }

  /** Keys go to the editor. No click: the first line of the page may be one that is scrolled out of sight. */
  async focus() {
    const focused = this.page.locator(".part.editor .monaco-editor.focused").first();
    await this.until("the editor has the keys", async () => {
      await this.page.keyboard.press("Control+1");
      return focused.waitFor({ timeout: 1_000 }).then(() => true, () => false);
    });
  }

  /** A command from the palette: "Qwen: Title". */
  async command(title) {
    const entry = await this.row(".quick-input-list", title, async () => {
      await this.page.keyboard.press("Escape");
      await this.page.keyboard.press("F1");
      await this.page.keyboard.type(title, { delay: 10 });
    });
    await entry.click(WAIT);
  }

  /** The cursor to the start of a line, from 1. */
  async go(line) {
    await this.page.keyboard.press("Control+g");
    await this.find(".quick-input-widget", "");
    await this.page.keyboard.type(`${line}`);
    await this.page.keyboard.press("Enter");
    await this.status(`Ln ${line},`);
  }

  /** An entry of the list of actions at the cursor. */
  async listed(title) {
    return this.row(".action-widget", title, () => this.page.keyboard.press("Control+."));
  }

  /** One of the actions that the editor lists at the cursor. */
  async action(title) {
    await (await this.listed(title)).click(WAIT);
  }

  /** Close the editor in front: a preview takes keys for itself. */
  async close(tab) {
    const found = await this.find(".tab.active", tab);
    await found.locator(".tab-actions .action-label").click(WAIT);
    await found.waitFor({ ...WAIT, state: "hidden" });
  }

  async status(text) {
    await this.find(".statusbar-item", text);
  }

  /** An entry of the menu behind the status bar item. */
  async menu(entry) {
    return this.row(".quick-input-list", entry, async () => {
      await this.page.keyboard.press("Escape");
      await this.click(".statusbar-item", "Qwen:");
    });
  }

  /**
   * A notification in the list behind the bell: under the test driver VS Code shows no toasts. The list closes by itself
   * with the last one in it, such as a progress that ends, and is opened again then.
   */
  async notification(text) {
    const list = this.page.locator(".notifications-center.visible");
    const found = list.locator(".notification-list-item", { hasText: text }).first();
    await this.until(`a notification with ${text}`, async () => {
      if (!(await list.isVisible())) {
        await this.page.locator(".statusbar-item[id='status.notifications']").click(WAIT);
        await list.waitFor({ timeout: 2_000 }).catch(() => undefined);
      }
      return found.isVisible();
    });
    return found;
  }

  /** Away with them, and with their list. */
  async clear() {
    await this.command("Notifications: Clear All Notifications");
    const list = this.page.locator(".notifications-center.visible");
    await this.escape(list);
  }

  /** Press Escape until something is gone. */
  async escape(locator) {
    await this.until("it is closed", async () => {
      if (!(await locator.isVisible())) return true;
      await this.page.keyboard.press("Escape");
      await this.page.waitForTimeout(100);
      return false;
    });
  }

  /** Wait for ghost text that holds this, whatever spaces there are. */
  async ghost(text) {
    const sought = text.replace(/\s+/g, "");
    await this.until(`the ghost text ${text}`, async () => (await this.suggested()).replace(/\s+/g, "").includes(sought));
  }

  /** The ghost text of now, "" where there is none: it stands in pieces. */
  suggested() {
    return this.page.evaluate(() =>
      [...document.querySelectorAll("[class*=ghost-text]")].map(({ textContent }) => textContent).join(""));
  }

  /** Wait until a preview of Markdown has these words. */
  async reads(words) {
    await this.until(`${words} is shown`, async () => {
      const texts = this.page.frames().map((frame) => frame.locator("body").innerText({ timeout: 1_000 }).catch(() => ""));
      return (await Promise.all(texts)).some((text) => text.includes(words));
    });
  }

  /** A picture of a part of the window, for the README; the mouse is in nobody's way. */
  async picture(name, clip = { x: 0, y: 0, width: 1280, height: 800 }) {
    await this.page.mouse.move(1279, 5);
    await this.page.screenshot({ path: path.join(this.job.scratch, `${name}.png`), clip, animations: "disabled" });
  }

  onDisk(name) {
    const file = path.join(this.job.project, name);
    return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : undefined;
  }

  /** The messages of one method so far in this window. */
  sent(method) {
    const lines = fs.readFileSync(path.join(this.job.scratch, "traffic.jsonl"), "utf8").split("\n").slice(this.job.since, -1);
    return lines.map((line) => JSON.parse(line).message).filter((message) => message?.method === method);
  }

  async until(what, check) {
    const end = Date.now() + WAIT.timeout;
    for (;;) {
      const found = await check();
      if (found) return found;
      if (Date.now() > end) throw new Error(`not within ${WAIT.timeout} ms: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Steps in their order, by name; a line of JSON for each. The exit status. */
export async function play(steps, page, job) {
  const window = new Window(page, job);
  let failed = 0;
  for (const [name, step] of Object.entries(steps)) {
    const begun = Date.now();
    const error = await step(window).then(() => "", (reason) => String(reason.stack));
    const line = { name, error, ms: Date.now() - begun };
    fs.appendFileSync(job.outcomes, `${JSON.stringify(line)}\n`);
    if (error) {
      failed += 1;
      await page.screenshot({ path: path.join(job.scratch, `failed-${failed}.png`) });
      for (let n = 0; n < 3; n++) await page.keyboard.press("Escape"); // what stands open is not the next step's
    }
  }
  return failed === 0 ? 0 : 1;
}

export const words = (text) => new RegExp(text.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\s+/g, "\\s+"));
