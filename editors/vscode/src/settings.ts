// What the server is told of the settings: only what somebody set. A default of package.json is not a wish, and would
// hide what the user's or the workspace's qwen-lsp.toml says.

export interface Property {
  readonly scope?: string;
}

/** What VS Code's `inspect` says of one setting. */
export interface Inspected {
  readonly globalValue?: unknown;
  readonly workspaceValue?: unknown;
  readonly workspaceFolderValue?: unknown;
}

const SECTION = "qwen.";
const OURS = ["server.", "trace."]; // for the extension, not for the server

/** The names of the server's settings below the section, as package.json has them. */
export function serverKeys(properties: Readonly<Record<string, Property>>): string[] {
  return Object.keys(properties)
    .map((name) => name.slice(SECTION.length))
    .filter((name) => !OURS.some((prefix) => name.startsWith(prefix)));
}

/** The settings that somebody set, by name below the section. A workspace sets only what package.json lets it. */
export function chosen(
  properties: Readonly<Record<string, Property>>,
  inspect: (name: string) => Inspected | undefined,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name of serverKeys(properties)) {
    const found = inspect(name);
    const fromWorkspace = found?.workspaceFolderValue ?? found?.workspaceValue;
    const isUsersOwn = properties[SECTION + name]?.scope === "machine";
    const value = isUsersOwn ? found?.globalValue : (fromWorkspace ?? found?.globalValue);
    if (value !== undefined && value !== null) {
      values[name] = value;
    }
  }
  return values;
}
