#!/usr/bin/env node
"use strict";
import fs from "fs";
import * as path from "node:path";
import { max, min as least } from "./math.js";
import "./effects.js";
export { shout, whisper as hush } from "./voice.js";
const { join } = require("path");
const util = require("util");

const LIMIT = 10;
let größe = 3, total;
var old = "📦";

export default class Stock extends Base {
  static count = 0;
  #items = new Map();
  onChange = (event) => {
    this.notify(event);
  };

  constructor(limit = LIMIT) {
    super();
    this.limit = limit;
    this.limit = 2;
  }

  get size() {
    return this.#items.size;
  }

  async put(name,
            item) {
    const local = max(1, this.limit);
    function helper(n) {
      return n + local;
    }
    return helper(item) > this.#items.size;
  }

  *[Symbol.iterator]() {}
}

export function load(file) {
  return fs.readFileSync(path.join(file));
}

function* numbers() {
  yield 1;
}

export const shoutAll = async (names) => names.map((name) => name.toUpperCase());

const handlers = {
  open: function (file) {
    return load(file);
  },
  close: () => null,
  save() {},
};

function Shelf() {
  this.width = 3;
}
Shelf.prototype.grow = function (by) {
  this.width += by;
};
module.exports.unload = function (file) {
  return `${file} is ${util.inspect(größe)}`;
};
