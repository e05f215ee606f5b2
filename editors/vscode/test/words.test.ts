import assert from "node:assert/strict";
import { test } from "node:test";
import { table } from "../src/markdown.ts";
import { chosen, serverKeys } from "../src/settings.ts";
import { item, type Status } from "../src/status.ts";

const properties = {
  "qwen.engine": { scope: "machine" },
  "qwen.completion.enabled": { scope: "window" },
  "qwen.server.command": { scope: "machine" },
  "qwen.trace.server": { scope: "window" },
};

test("the extension's own settings are not the server's", () => {
  assert.deepEqual(serverKeys(properties), ["engine", "completion.enabled"]);
});

test("only what somebody set is told, and a workspace sets only what it may", () => {
  const said = {
    engine: { defaultValue: "auto", workspaceValue: "scripted" },
    "completion.enabled": { defaultValue: true, globalValue: true, workspaceValue: false },
  };
  assert.deepEqual(chosen(properties, (name) => said[name as keyof typeof said]), { "completion.enabled": false });
  assert.deepEqual(chosen(properties, () => ({ globalValue: null })), {});
});

const ready: Status = { state: "ready", detail: "", model: "m", reason: "", index: "" };

test("every state has a word, and what is wrong stands out", () => {
  const texts = (["off", "starting", "ready", "failed"] as const).map((state) =>
    item({ kind: "running", status: { ...ready, state } }),
  );
  assert.equal(new Set(texts.map(({ text }) => text)).size, 4);
  assert.deepEqual(texts.map(({ alert }) => alert), [false, false, false, true]);
  assert.match(item({ kind: "running", status: { ...ready, paused: true } }).text, /paused/);
  assert.match(item({ kind: "missing" }).text, /no server/);
});

test("the reason of the last silence is told, and nothing where there is none", () => {
  assert.deepEqual(item({ kind: "running", status: ready }).lines, ["Engine: ready", "Model: m"]);
  const indexed = item({ kind: "running", status: { ...ready, index: "index: 4 files" } });
  assert.deepEqual(indexed.lines, ["Engine: ready", "Model: m", "Index: 4 files"]);
  const silent = item({ kind: "running", status: { ...ready, reason: "the file is excluded" } });
  assert.ok(silent.lines.includes("Last request: the file is excluded"));
});

test("a cell can not leave its table", () => {
  const text = table([{ path: "a|b\nc", why: { name: 1 } }, { path: "`x`", n: null }]);
  assert.deepEqual(text.split("\n"), ["| path | why | n |", "| --- | --- | --- |", "| a\\|b c | name 1 |  |", "| \\`x\\` |  |  |"]);
});
