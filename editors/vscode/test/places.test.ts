import assert from "node:assert/strict";
import { test } from "node:test";
import { findServer, type Machine } from "../src/places.ts";

function machine(programs: string[], fields: Partial<Machine> = {}): Machine {
  return {
    platform: "linux",
    home: "/home/me",
    searchPath: "/usr/bin:relative:/opt/bin",
    isProgram: async (file) => programs.includes(file),
    succeeds: async () => false,
    ...fields,
  };
}

const packed = ["/checkout/.venv/bin/qwen-lsp"];
const all = ["/work/.venv/bin/qwen-lsp", "/opt/bin/qwen-lsp", "/home/me/.local/bin/qwen-lsp", "/usr/bin/uvx"];

test("what is configured is taken as it is, with its arguments", async () => {
  const found = await findServer(machine(all), ["uvx", "qwen-lsp"], packed, ["/work"]);
  assert.deepEqual([found?.command, found?.args], ["uvx", ["qwen-lsp"]]);
});

test("the nearest program wins", async () => {
  for (let n = 0; n < 3; n++) {
    assert.equal((await findServer(machine(all.slice(n)), [], packed, ["/work"]))?.command, all[n]);
  }
});

test("what the package names wins over what is found, where this machine has it", async () => {
  assert.equal((await findServer(machine([...all, ...packed]), [], packed, ["/work"]))?.from, "the extension's package");
  assert.equal(await findServer(machine(["x"]), [], ["x"], []), undefined);
});

test("without trusted folders nothing of the workspace is run", async () => {
  assert.equal((await findServer(machine(all), [], [], []))?.command, "/opt/bin/qwen-lsp");
});

test("uvx is used only for what it has already", async () => {
  const asked: string[][] = [];
  const succeeds = async (command: string, args: readonly string[]): Promise<boolean> => {
    asked.push([command, ...args]);
    return asked.length > 1;
  };
  const uvOnly = machine(["/usr/bin/uvx"], { succeeds });
  assert.equal(await findServer(uvOnly, [], [], []), undefined);
  assert.deepEqual((await findServer(uvOnly, [], [], []))?.args, ["--offline", "qwen-lsp"]);
  assert.deepEqual(asked[0], ["/usr/bin/uvx", "--offline", "qwen-lsp", "--version"]);
});

test("a relative entry of the PATH is never looked at", async () => {
  assert.equal(await findServer(machine(["relative/qwen-lsp"]), [], [], []), undefined);
});
