// Obeys lines of JSON on stdin and answers each with one line of JSON:
// ["connect", url, {options}] first, then [method of MailpitClient, ...arguments]; ["methods"] names all that it has.
"use strict";
const readline = require("readline");
const { MailpitClient } = require("mailpit-api");

let client;

const own = {
  async connect(url, options) {
    client = new MailpitClient(url, options);
  },
  async methods() {
    return Object.getOwnPropertyNames(MailpitClient.prototype).filter((name) => name !== "constructor");
  },
};

async function plain(value) {
  if (value instanceof Blob) return { type: value.type, content: Buffer.from(await value.arrayBuffer()).toString("latin1") };
  return value === undefined ? null : value;
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, ...given] = JSON.parse(line);
    let answer;
    try {
      answer = { value: await plain(own[name] ? await own[name](...given) : await client[name](...given)) };
    } catch (error) {
      answer = { error: error.message };
    }
    console.log(JSON.stringify(answer));
  }
}

main();
