// What a reader, or a test, wants out of the message: codes, links, the way to unsubscribe.
import { copy, h, icon } from "./dom.js";
import { say } from "./undo.js";

const safe = (address) => /^(https?:|mailto:)/i.test(address || "");
const copier = (text) => h("button", { type: "button", class: "bare", title: "Copy", "aria-label": `Copy ${text}`, onclick: () => copy(text).then(() => say("Copied.")) }, icon("copy"));
const linked = (address) => (safe(address) ? h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, address) : h("code", {}, address));

export function links(_, said) {
  const { codes = [], links: all = [], unsubscribe } = said, parts = [];
  if (codes.length) parts.push(h("h2", {}, "Codes"), h("ul", { class: "found" }, codes.map((code) => h("li", {}, h("code", { class: "code" }, code.value), h("span", { class: "quiet", dir: "auto" }, code.context || ""), copier(code.value)))));
  if (all.length) parts.push(h("h2", {}, "Links"), h("ul", { class: "found" }, all.map((link) => h("li", {}, icon(/^mailto:/i.test(link.url) ? "unread" : link.kind === "image" ? "image" : "link"), h("div", {}, link.text && link.text !== link.url ? h("b", { dir: "auto" }, link.text) : null, h("span", { class: "address" }, linked(link.url))), link.kind === "text" ? h("span", { class: "tag" }, "in the text") : null, copier(link.url)))));
  if (unsubscribe) parts.push(h("h2", {}, "Unsubscribe"), h("ul", { class: "found" }, [unsubscribe.http, unsubscribe.mailto].flat().filter(Boolean).map((address) => h("li", {}, icon("leave"), h("div", {}, linked(address)), unsubscribe.one_click ? h("span", { class: "tag" }, "one click") : null, copier(address))), (unsubscribe.errors || []).map((words) => h("li", { class: "wrong" }, icon("warn"), typeof words === "string" ? words : words.message))));
  return parts.length ? h("div", { class: "facts" }, parts) : h("div", { class: "state" }, icon("link"), h("h2", {}, "No links, no codes"), h("p", {}, "Nothing in this message asks to be opened or typed in."));
}
