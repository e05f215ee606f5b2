// What the status bar says: the server's `qwen/status` in words. Knows no VS Code.

export type State = "off" | "starting" | "ready" | "failed";

/** The parameters of `qwen/status`. */
export interface Status {
  readonly state: State;
  readonly detail: string;
  readonly model: string;
  readonly reason: string; // why the last request had no answer; "" where it had one
  readonly index: string;
  readonly paused?: boolean;
}

/** The whole of what is shown: how far the extension is, and what the server says of itself. */
export type Shown =
  | { readonly kind: "looking" }
  | { readonly kind: "missing" } // no server was found
  | { readonly kind: "stopped"; readonly why: string }
  | { readonly kind: "running"; readonly status: Status };

export interface Item {
  readonly text: string;
  readonly lines: readonly string[]; // the tooltip, and the head of the menu
  readonly alert: boolean;
}

export function item(shown: Shown): Item {
  switch (shown.kind) {
    case "looking":
      return { text: "$(loading~spin) Qwen", lines: ["Looking for the language server"], alert: false };
    case "missing":
      return { text: "$(warning) Qwen: no server", lines: ["The language server qwen-lsp was not found"], alert: true };
    case "stopped":
      return { text: "$(error) Qwen: stopped", lines: ["The language server does not run", shown.why], alert: true };
    case "running":
      return { ...word(shown.status), lines: lines(shown.status) };
  }
}

function word(status: Status): { text: string; alert: boolean } {
  if (status.paused === true) {
    return { text: "$(debug-pause) Qwen: paused", alert: false };
  }
  switch (status.state) {
    case "off":
      return { text: "$(circle-outline) Qwen: off", alert: false };
    case "starting":
      return { text: "$(loading~spin) Qwen: starting", alert: false };
    case "ready":
      return { text: "$(sparkle) Qwen: ready", alert: false };
    case "failed":
      return { text: "$(error) Qwen: failed", alert: true };
  }
}

function lines(status: Status): string[] {
  const rows: [string, string][] = [
    ["Engine", [status.state, status.detail].filter((text) => text !== "").join(": ")],
    ["Model", status.model],
    ["Last request", status.reason],
    ["Index", status.index.replace(/^index: /, "")], // the server's words stand alone in other editors
  ];
  return rows.filter(([, text]) => text).map(([name, text]) => `${name}: ${text}`);
}
