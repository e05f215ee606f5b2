// The machine that the server search asks: files, the environment, programs that run for a moment.

import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";
import type { Machine } from "./places";

const PROBE_TIMEOUT_MS = 10_000; // uv unpacks a cached environment on first use

export const thisMachine: Machine = {
  platform: process.platform,
  home: homedir(),
  searchPath: process.env["PATH"] ?? "",
  async isProgram(file) {
    try {
      await access(file, constants.X_OK);
      return (await stat(file)).isFile();
    } catch {
      return false;
    }
  },
  succeeds(command, args) {
    return new Promise((resolve) => {
      // In the home folder: uv reads settings from the folder it is started in, and the workspace's may not be ours.
      execFile(command, [...args], { cwd: homedir(), timeout: PROBE_TIMEOUT_MS }, (error) => resolve(error === null));
    });
  },
};

/** The server that the package names, which `scripts/package-editors --here` writes into it; empty where it names none. */
export async function bundled(folder: string): Promise<readonly string[]> {
  try {
    const { command } = JSON.parse(await readFile(path.join(folder, "server.json"), "utf8")) as { command?: unknown };
    return Array.isArray(command) && command.every((part) => typeof part === "string") ? command : [];
  } catch {
    return [];
  }
}
