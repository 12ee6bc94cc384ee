// What the linter finds, the worst first, each with what to do about it; and what of the HTML mail programs do not show.
import { one as message_of } from "./actions.js";
import { get } from "./api.js";
import { bones, h, icon } from "./dom.js";
import { plural } from "./format.js";
import { remember, remembered } from "./state.js";

const RANK = { error: 0, warning: 1, notice: 2, info: 2, note: 2 };
const LEAST = [100, 95, 90, 75, 50]; // per cent of mail programs

const place = (where) => (!where || typeof where === "string" ? where : [where.header, where.part && `part ${where.part}`, where.line && `line ${where.line}`].filter(Boolean).join(", "));
const sign = (severity) => icon(severity === "error" ? "error" : severity === "warning" ? "warn" : "info");

export function checks(message, { findings = [], errors = 0, warnings = 0 }, { signal, where }) {
  const programs = message.has_html ? shown_by(message, signal, where) : [];
  if (!findings.length) return [h("div", { class: "state good" }, icon("check"), h("h2", {}, "Nothing to mend"), h("p", {}, "Every check passed.")), h("div", { class: "facts" }, programs)];
  const sorted = [...findings].sort((one, other) => (RANK[one.severity] ?? 3) - (RANK[other.severity] ?? 3));
  return h("div", { class: "facts" }, h("p", { class: "quiet" }, [errors && plural(errors, "error"), warnings && plural(warnings, "warning"), findings.length - errors - warnings > 0 && plural(findings.length - errors - warnings, "note")].filter(Boolean).join(", ")),
    h("ul", { class: "findings" }, sorted.map((one) => h("li", { class: `is-${one.severity}` }, sign(one.severity),
      h("div", {}, h("p", {}, h("b", {}, one.message), h("span", { class: "away" }, ` ${one.severity}`)), one.hint ? h("p", {}, one.hint) : null, h("p", { class: "quiet" }, h("code", {}, one.rule), place(one.where) ? ` · ${place(one.where)}` : "", one.source ? ` · ${one.source}` : ""))))), programs);
}

/** What of the HTML fewer than so many mail programs show: asked for when somebody looks. */
function shown_by(message, signal, where) {
  const found = h("div", {}), said = h("p", { class: "quiet", role: "status" });
  const least = h("select", { id: "least", onchange: () => { remember("html-support", Number(least.value)); look(); } }, LEAST.map((each) => h("option", { value: String(each) }, each === 100 ? "not all" : `less than ${each} %`)));
  least.value = String(LEAST.includes(remembered("html-support")) ? remembered("html-support") : 90);
  async function look() {
    const asked = least.value;
    found.replaceChildren(bones("70%", "82%", "64%"));
    try {
      const { findings } = await get(`${message_of(message.id)}/checks`, { ...where, html_support: asked }, { signal });
      if (asked !== least.value) return;
      const some = findings.filter((each) => /^html-(unsupported|partial)$/.test(each.rule));
      said.textContent = some.length ? plural(some.length, "feature") : "Everything in it is shown by that many.";
      found.replaceChildren(h("ul", { class: "findings" }, some.map(feature)));
    } catch (error) { if (error.name !== "AbortError") found.replaceChildren(h("p", { class: "wrong", role: "alert" }, error.message)); }
  }
  look();
  return [h("h2", {}, "HTML in mail programs"), h("div", { class: "shows" }, h("label", { for: "least" }, "What is shown whole by"), least, "of mail programs", said), found];
}

function feature({ message, severity, rule }) {
  const [, words, address] = /^(.*?)(?:: (https:\/\/\S+))?$/s.exec(message);
  const [, name, lacking, all, some] = /^(.*?) is .*? by (\d+) of (\d+) mail programs(?: \((.*)\))?$/s.exec(words) || [null, words];
  return h("li", { class: `is-${severity}` }, sign(severity), h("div", {}, h("p", {}, h("b", {}, name), rule === "html-partial" ? h("span", { class: "quiet" }, " in part") : null), some ? h("p", { class: "quiet" }, rule === "html-partial" ? "in part only: " : "not shown: ", some) : null,
    address ? h("p", {}, h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, "Can I email")) : null), all ? h("p", { class: "share num", title: `${lacking} of ${all} mail programs do not show it whole` }, `${Math.round((100 * (all - lacking)) / all)} %`) : null);
}
