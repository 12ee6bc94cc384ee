// Attachments: a strip of them under the message.
import { one } from "./actions.js";
import { load, url } from "./api.js";
import { h } from "./dom.js";
import { part_name, plural, size } from "./format.js";
import { state } from "./state.js";

export const address_of = (message, part, download = false) => url(`${one(message.id)}/parts/${encodeURIComponent(part.part)}`, { account: state.account, download: download ? 1 : null });
export const is_image = (type) => /^image\/(png|jpe?g|gif|webp|avif|bmp|x-icon)$/i.test(type);
const preview = async (...given) => (await load("./preview.js")).preview(...given);

export function strip(message) {
  const all = message.attachments || [];
  if (!all.length) return null;
  const total = all.reduce((sum, one) => sum + (one.size || 0), 0);
  return h("section", { class: "strip", "aria-label": "Attachments" }, h("h2", {}, plural(all.length, "attachment"), h("span", { class: "quiet num" }, ` ${size(total)}`)),
    h("div", { class: "chips" }, all.map((part) => h("button", { type: "button", class: "att", title: `${part_name(part) || part.type}: look at it`, onclick: () => preview(message, part) },
      is_image(part.type) ? h("img", { src: address_of(message, part), alt: "", loading: "lazy", decoding: "async" }) : h("span", { class: "kind" }, kind(part)),
      h("span", { class: "words" }, h("b", { dir: "auto" }, part_name(part) || "(no name)"), h("small", { class: "quiet num" }, `${size(part.size || 0)}${part.inline ? ", inline" : ""}`))))));
}
export function kind(part) {
  const ending = /\.([a-z0-9]{1,4})$/i.exec(part_name(part) || "")?.[1];
  return (ending || part.type.split("/")[1] || "?").replace(/^(x-|vnd\.)/, "").slice(0, 4).toUpperCase();
}
