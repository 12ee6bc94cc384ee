// What the linter finds, the worst first, each with what to do about it.
import { h, icon } from "./dom.js";
import { plural } from "./format.js";

const RANK = { error: 0, warning: 1, notice: 2, info: 2, note: 2 };

const place = (where) => (!where || typeof where === "string" ? where : [where.header, where.part && `part ${where.part}`, where.line && `line ${where.line}`].filter(Boolean).join(", "));

export function checks(_, { findings = [], errors = 0, warnings = 0 }) {
  if (!findings.length) return h("div", { class: "state good" }, icon("check"), h("h2", {}, "Nothing to mend"), h("p", {}, "Every check passed."));
  const sorted = [...findings].sort((one, other) => (RANK[one.severity] ?? 3) - (RANK[other.severity] ?? 3));
  return h("div", { class: "facts" }, h("p", { class: "quiet" }, [errors && plural(errors, "error"), warnings && plural(warnings, "warning"), findings.length - errors - warnings > 0 && plural(findings.length - errors - warnings, "note")].filter(Boolean).join(", ")),
    h("ul", { class: "findings" }, sorted.map((one) => h("li", { class: `is-${one.severity}` }, icon(one.severity === "error" ? "error" : one.severity === "warning" ? "warn" : "info"),
      h("div", {}, h("p", {}, h("b", {}, one.message), h("span", { class: "away" }, ` ${one.severity}`)), one.hint ? h("p", {}, one.hint) : null, h("p", { class: "quiet" }, h("code", {}, one.rule), place(one.where) ? ` · ${place(one.where)}` : "", one.source ? ` · ${one.source}` : ""))))));
}
