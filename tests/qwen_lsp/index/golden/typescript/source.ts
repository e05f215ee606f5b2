import type { Item } from "./item";
import { Clock as Watch, type Price } from "./util";
import fs = require("fs");

export const LIMIT: number = 10;
export type Names = Record<string, Item[]>;

export interface Shelf<T> extends Base {
  readonly size: number;
  put(item: T): boolean;
  [key: string]: unknown;
}

export enum Color {
  Red = "red",
  Green,
}

declare module "legacy" {
  export function old(a: number): void;
}

namespace Tools.Inner {
  export const größe = 3;
}

function overload(a: string): string;
function overload(a: number): number;
function overload(a: any): any {
  return a;
}

@Injectable({ scope: "root" })
export abstract class Stock<T extends Item> implements Shelf<T> {
  private items: Map<string, T> = new Map();
  static readonly count = 0;
  onChange = (event: Event): void => this.notify(event);

  constructor(private readonly clock: Watch, limit?: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.items.size;
  }

  @Log()
  put(
    @Inject() item: T,
  ): boolean {
    const local = Math.max(1, LIMIT);
    const helper = (n: number): number => n + local;
    return helper(1) > this.items.size;
  }

  abstract name(): string;
}

export default function load<T>(path: string): Promise<T> {
  return fs.promises.readFile(path) as unknown as Promise<T>;
}

declare global {
  interface Window {
    stock: Stock<Item>;
  }
}

export * from "./all";
