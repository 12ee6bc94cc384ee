// The MIME tree, drawn as one.
import { h, icon } from "./dom.js";
import { part_name, size } from "./format.js";
import { preview } from "./preview.js";
import { address_of } from "./strip.js";

const ICONS = [[/^multipart\//, "folder"], [/^image\//, "image"], [/^message\//, "unread"], [/./, "file"]];

export function parts(message) {
  const row = (part, deep) => h("li", { role: "treeitem", "aria-expanded": part.children?.length ? "true" : null, "aria-level": deep + 1, "aria-selected": "false" },
    h("div", { class: "part" }, h("span", { class: "no mono quiet" }, part.part || "·"), icon(ICONS.find(([kind]) => kind.test(part.type))[1]),
      h("div", { class: "what" }, h("b", { dir: "auto" }, part_name(part) || part.type), h("span", { class: "quiet" }, [part_name(part) && part.type, part.charset, part.encoding && part.encoding !== "7bit" ? part.encoding : "", part.disposition, part.cid ? `cid:${part.cid}` : ""].filter(Boolean).join(" · "))),
      h("span", { class: "quiet num" }, part.size !== null && part.size !== undefined && !part.children?.length ? size(part.size) : ""),
      !part.children?.length && h("span", { class: "does" }, h("button", { type: "button", class: "bare", "aria-label": "Look at it", title: "Look at it", onclick: () => preview(message, part) }, icon("search")), h("a", { class: "button bare", href: address_of(message, part, true), download: "", "aria-label": "Download", title: "Download" }, icon("down")))),
    part.children?.length ? h("ul", { role: "group" }, part.children.map((child) => row(child, deep + 1))) : null);
  return message.parts ? h("ul", { class: "tree", role: "tree", "aria-label": "MIME parts" }, row(message.parts, 0)) : h("p", { class: "quiet" }, "This message has no parts that could be told apart.");
}
