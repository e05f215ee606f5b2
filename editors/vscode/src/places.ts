// Where the language server may be, in order. Knows no VS Code: what it asks of the machine is handed in.

import * as path from "node:path";

export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  readonly searchPath: string; // the PATH
  isProgram(file: string): Promise<boolean>;
  succeeds(command: string, args: readonly string[]): Promise<boolean>;
}

export interface Server {
  readonly command: string;
  readonly args: readonly string[];
  readonly from: string; // for people
}

/** The first server there is. `bundled`: the one that the extension's package names, which may be of another machine.
 * `folders` are those whose programs may be run: none in an untrusted workspace. */
export async function findServer(
  machine: Machine,
  configured: readonly string[],
  bundled: readonly string[],
  folders: readonly string[],
): Promise<Server | undefined> {
  const [command, ...args] = configured;
  if (command !== undefined) {
    return { command, args, from: "the setting qwen.server.command" };
  }
  const [packed, ...packedArgs] = bundled;
  if (packed !== undefined && path.isAbsolute(packed) && (await machine.isProgram(packed))) {
    return { command: packed, args: packedArgs, from: "the extension's package" };
  }
  for (const [file, from] of places(machine, folders)) {
    if (await machine.isProgram(file)) {
      return { command: file, args: [], from };
    }
  }
  return fromUvCache(machine);
}

function* places(machine: Machine, folders: readonly string[]): Iterable<[file: string, from: string]> {
  for (const folder of folders) {
    yield [path.join(folder, ".venv", programs(machine), program(machine, "qwen-lsp")), "the workspace's .venv"];
  }
  for (const folder of onPath(machine)) {
    yield [path.join(folder, program(machine, "qwen-lsp")), "the PATH"];
  }
  yield [path.join(machine.home, ".local", "bin", program(machine, "qwen-lsp")), "where pipx and uv install"];
}

/** What `uvx` has already fetched. `--offline`: fetching is the user's decision, never ours. */
async function fromUvCache(machine: Machine): Promise<Server | undefined> {
  const args = ["--offline", "qwen-lsp"];
  for (const folder of [...onPath(machine), path.join(machine.home, ".local", "bin")]) {
    const uvx = path.join(folder, program(machine, "uvx"));
    if (await machine.isProgram(uvx)) {
      const there = await machine.succeeds(uvx, [...args, "--version"]);
      return there ? { command: uvx, args, from: "uv's cache" } : undefined;
    }
  }
  return undefined;
}

/** Relative entries would depend on the folder that VS Code was started in. */
function onPath(machine: Machine): string[] {
  return machine.searchPath.split(machine.platform === "win32" ? ";" : ":").filter((folder) => path.isAbsolute(folder));
}

const program = (machine: Machine, name: string): string => (machine.platform === "win32" ? `${name}.exe` : name);
const programs = (machine: Machine): string => (machine.platform === "win32" ? "Scripts" : "bin");
