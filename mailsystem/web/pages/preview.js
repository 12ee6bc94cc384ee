// An attachment, large: pictures, text, PDF by the browser.
import { ask } from "./api.js";
import { open } from "./dialog.js";
import { bones, h, icon } from "./dom.js";
import { part_name, size } from "./format.js";
import { address_of, is_image, kind } from "./strip.js";

const is_text = (type, name = "") => /^(text\/|message\/|application\/(json|xml|x-ndjson|javascript|pgp|yaml))/i.test(type) || /\.(txt|csv|log|md|json|xml|ya?ml|ics|vcf|eml|patch|diff)$/i.test(name || "");
const TEXT_MOST = 200_000;

export function preview(message, part) {
  const type = part.type.toLowerCase(), name = part_name(part) || part.type;
  const body = h("div", { class: "preview-body scrolls", tabindex: "0" });
  const siblings = message.attachments || [], at = siblings.findIndex((other) => other.part === part.part);
  const turn = (by) => { const next = siblings[at + by]; if (at >= 0 && next) { made.close(); preview(message, next); } };
  const made = open(h("div", { class: "preview-window" }, h("header", {}, h("h2", { dir: "auto" }, name), h("span", { class: "quiet num" }, [part.type, size(part.size || 0)].join(" · ")), h("span", { class: "space" }),
    at >= 0 && siblings.length > 1 ? [h("button", { type: "button", class: "bare", "aria-label": "Previous", title: "Previous  ←", disabled: at === 0, onclick: () => turn(-1) }, icon("back")), h("button", { type: "button", class: "bare", "aria-label": "Next", title: "Next  →", disabled: at === siblings.length - 1, onclick: () => turn(1) }, icon("right"))] : null,
    h("a", { class: "button bare", href: address_of(message, part, true), download: "", "aria-label": "Download", title: "Download" }, icon("down")), h("button", { type: "button", class: "bare", "aria-label": "Close", title: "Close  Esc", onclick: () => made.close() }, icon("close"))), body), { label: name, kind: "preview" });
  made.addEventListener("keydown", (event) => { const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key]; if (by) turn(by); });
  fill(body, message, part, type).catch((error) => body.replaceChildren(h("div", { class: "state" }, icon("error"), h("p", {}, error.message))));
}

async function fill(body, message, part, type) {
  const address = address_of(message, part);
  const cannot = () => body.replaceChildren(h("div", { class: "state" }, h("span", { class: "kind" }, kind(part)), h("h2", {}, "No preview of this kind"), h("p", {}, `${part.type}, ${size(part.size || 0)}`), h("a", { class: "button", href: address_of(message, part, true), download: "" }, icon("down"), "Download")));
  if (is_image(type)) body.replaceChildren(h("img", { src: address, alt: part_name(part) || "the picture", onerror: cannot }));
  else if (type === "application/pdf" && (await shows(address))) body.replaceChildren(h("iframe", { src: address, title: part_name(part) || "PDF" }));
  else if (is_text(type, part_name(part))) {
    body.replaceChildren(bones("60%", "70%", "50%"));
    const octets = await ask("GET", address, { as: "bytes" });
    let charset = "utf-8";
    try { charset = new TextDecoder(part.charset || "utf-8").encoding; } catch { /* unknown: as UTF-8 */ }
    const words = new TextDecoder(charset).decode(octets.slice(0, TEXT_MOST));
    body.replaceChildren(h("pre", { dir: "auto" }, words, octets.byteLength > TEXT_MOST ? `\n\n… ${size(octets.byteLength - TEXT_MOST)} more` : ""));
  } else cannot();
}

/** Whether the server lets the browser show a document, and the browser can. */
async function shows(address) {
  const stop = new AbortController(), answer = await fetch(address, { signal: stop.signal });
  stop.abort();
  return answer.ok && navigator.pdfViewerEnabled !== false && !/^attachment/i.test(answer.headers.get("content-disposition") || "") && !/\bsandbox\b/.test(answer.headers.get("content-security-policy") || "");
}
