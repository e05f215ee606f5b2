// The server's rows as Markdown. Knows no VS Code and no single column.

/** A table with a column for every name that occurs; nothing in a cell can end it. */
export function table(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const line = (cells: string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line(names.map(cell)),
    line(names.map(() => "---")),
    ...rows.map((row) => line(names.map((name) => cell(row[name])))),
  ].join("\n");
}

function cell(value: unknown): string {
  if (value === undefined || value === null) {
    return "";
  }
  const text = typeof value === "object" ? pairs(value) : String(value);
  return text.replace(/[\\`*_{}[\]<>#|~]/g, "\\$&").replace(/\s+/g, " ");
}

function pairs(value: object): string {
  return Object.entries(value)
    .map(([name, one]) => (Array.isArray(value) ? plain(one) : `${name} ${plain(one)}`))
    .join(", ");
}

/** What stands deeper is a symbol's description: its name says enough. */
function plain(value: unknown): string {
  return typeof value === "object" && value !== null ? String((value as { name?: unknown }).name ?? "…") : String(value);
}
