// The message as text, its header fields, and its source.
import { one } from "./actions.js";
import { get, url } from "./api.js";
import { copy, h, icon } from "./dom.js";
import { count, size } from "./format.js";
import { remember, remembered, state } from "./state.js";
import { say } from "./undo.js";

const MOST = 400_000; // characters drawn; the rest is a download away
const copied = (what) => () => copy(typeof what === "function" ? what() : what).then(() => say("Copied."));
const copier = (what, label = "Copy") => h("button", { type: "button", class: "bare", onclick: copied(what), title: label, "aria-label": label }, icon("copy"));

/** Words with their links made real: only http, https and mailto. */
function linked(line) {
  const parts = [];
  let from = 0;
  for (const found of line.matchAll(/\bhttps?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}]|\bmailto:[^\s<>"]+[^\s<>".,;)]/gi)) {
    parts.push(line.slice(from, found.index), h("a", { href: found[0], target: "_blank", rel: "noopener noreferrer" }, found[0]));
    from = found.index + found[0].length;
  }
  parts.push(line.slice(from));
  return parts;
}

export async function text(message, _, more = {}) {
  const words = message.text ?? (await get(`${one(message.id)}/text`, { account: state.account }, { as: "text", signal: more.signal }).catch((error) => { if (error.status === 404) return ""; throw error; }));
  if (!words.trim()) return h("div", { class: "state" }, icon("file"), h("h2", {}, "No text"), h("p", {}, "This message has no text part, and nothing to make one of."));
  const made = h("div", { class: "plain", dir: "auto" });
  let quote = null;
  for (const line of words.slice(0, MOST).replace(/\s+$/, "").split("\n")) {
    const quoted = /^\s*>/.test(line);
    if (quoted && !quote) { quote = h("blockquote"); made.append(quote); }
    if (!quoted) quote = null;
    (quote || made).append(h("p", { dir: "auto", class: line === "-- " ? "signature" : "" }, line ? linked(quoted ? line.replace(/^\s*>\s?/, "") : line) : h("br")));
  }
  if (words.length > MOST) made.append(h("p", { class: "quiet" }, `${count(words.length - MOST)} more characters are in the source.`));
  return made;
}

export async function headers(message, _, { signal, where }) {
  const all = (await get(`${one(message.id)}/headers`, where, { signal })).headers.map((field) => (Array.isArray(field) ? field : [field.name, field.value, field.raw]));
  const body = h("dl", { class: "fields" });
  const raw = h("input", { type: "checkbox", checked: remembered("raw-headers", false), onchange: () => { remember("raw-headers", raw.checked); draw(); } });
  const filter = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter the header fields", oninput: () => draw() });
  const draw = () => {
    const asked = filter.value.toLowerCase();
    const found = all.filter(([name, value]) => !asked || `${name}: ${value}`.toLowerCase().includes(asked));
    body.replaceChildren(...found.map(([name, value, octets]) => h("div", {}, h("dt", {}, name), h("dd", {}, h("span", { dir: "auto", class: raw.checked ? "mono raw" : "" }, raw.checked ? octets ?? value : value), copier(value, `Copy ${name}`)))));
    if (!found.length) body.replaceChildren(h("p", { class: "quiet" }, "No field of that name or value."));
  };
  draw();
  return [h("div", { class: "tools" }, filter, h("label", { class: "check" }, raw, "as sent"), h("span", { class: "quiet num" }, `${count(all.length)} fields`), copier(() => all.map(([name, value, octets]) => `${name}: ${octets ?? value}`).join("\n"), "Copy all")), body];
}

export async function source(message, _, { signal }) {
  const address = url(`${one(message.id)}/raw`, { account: state.account });
  const octets = await get(`${one(message.id)}/raw`, { account: state.account }, { as: "bytes", signal });
  const words = new TextDecoder("utf-8").decode(octets.slice(0, MOST));
  const lines = words.split(/\r?\n/), pre = h("pre", { class: `source scrolls${remembered("wrap", true) ? " wraps" : ""}`, tabindex: "0", "aria-label": "Source" });
  let head = true;
  for (let at = 0; at < lines.length; at += 200) {
    const block = h("code", { class: "block" });
    lines.slice(at, at + 200).forEach((line, nth) => {
      if (line === "") head = false;
      const field = head && /^[!-9;-~]+:/.exec(line), border = !head && /^--[\w'()+,./:=?-]{6,}$/.test(line);
      block.append(h("span", { class: `ln${border ? " border" : ""}`, data: { n: at + nth + 1 } }, field ? [h("b", {}, field[0]), line.slice(field[0].length)] : line, "\n"));
    });
    pre.append(block);
  }
  const wraps = h("button", { type: "button", class: "bare", "aria-pressed": String(remembered("wrap", true)), title: "Wrap long lines", "aria-label": "Wrap long lines", onclick: () => { remember("wrap", pre.classList.toggle("wraps")); wraps.setAttribute("aria-pressed", String(remembered("wrap"))); } }, icon("wrap"));
  return [h("div", { class: "tools" }, h("span", { class: "quiet num" }, `${size(octets.byteLength)}, ${count(lines.length)} lines${octets.byteLength > MOST ? " shown of more" : ""}`), h("span", { class: "space" }), wraps, copier(() => new TextDecoder("utf-8").decode(octets)),
    h("a", { class: "button bare", href: `${address}${address.includes("?") ? "&" : "?"}download=1`, download: "", title: "Download as .eml  d", "aria-label": "Download as .eml" }, icon("down"))), pre];
}
