// Obeys lines of JSON on stdin and answers each with one line of JSON:
// ["connect", {options}] first, then [method of ImapFlow, ...arguments], or one of the words in `own`.
"use strict";
const readline = require("readline");
const { ImapFlow } = require("imapflow");

let client;
const events = [];
let waiting = null;

function plain(key, value) {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (value && value.type === "Buffer") return Buffer.from(value.data).toString("latin1");
  return value;
}

function happened(name, data) {
  events.push([name, data]);
  if (waiting) waiting();
}

const own = {
  async connect(options) {
    client = new ImapFlow({ ...options, logger: false });
    for (const name of ["exists", "expunge", "flags", "mailboxOpen", "close", "error"])
      client.on(name, (data) => happened(name, data && data.message ? data.message : data));
    await client.connect();
    return { capabilities: [...client.capabilities.keys()], enabled: [...client.enabled], server: client.serverInfo };
  },
  // Gives an event of that name, also one from before.
  async heard(name) {
    for (;;) {
      const at = events.findIndex(([heard]) => heard === name);
      if (at >= 0) return events.splice(at, 1)[0][1];
      await new Promise((resolve) => (waiting = resolve));
    }
  },
  async events() {
    return events.splice(0);
  },
  async state() {
    return { mailbox: client.mailbox, compressed: Boolean(client._inflate), idling: client.idling };
  },
  // It idles by itself after a while; here at once and without waiting for its end.
  async idleNow() {
    client.idle().catch((error) => happened("error", error.message));
    return true;
  },
  async open(path, options) {
    for (const name of ["changedSince", "uidValidity"])
      if (options && options[name]) options[name] = BigInt(options[name]);
    return client.mailboxOpen(path, options);
  },
  async fetch(range, query, options) {
    if (options && options.changedSince) options.changedSince = BigInt(options.changedSince);
    return client.fetchAll(range, query, options);
  },
  async download(range, part, options) {
    const { meta, content } = await client.download(range, part, options);
    const pieces = [];
    for await (const piece of content) pieces.push(piece);
    return { meta, content: Buffer.concat(pieces).toString("latin1") };
  },
  async append(path, text, flags, date) {
    return client.append(path, Buffer.from(text, "latin1"), flags, date && new Date(date));
  },
};

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, ...given] = JSON.parse(line);
    let answer;
    try {
      const value = own[name] ? await own[name](...given) : await client[name](...given);
      answer = { value: value === undefined ? null : value };
    } catch (error) {
      answer = { error: error.message, said: error.responseText, code: error.serverResponseCode || error.code };
    }
    console.log(JSON.stringify(answer, plain));
  }
  if (client) client.close();
}

main();
