// What goes wrong on demand: the rules, how often each has struck, and a form for one more.
import { ask, get, post, remove } from "./api.js";
import { act, copy, h, icon } from "./dom.js";
import { fault_form } from "./fault-form.js";
import { MAGIC, often, told } from "./fault-words.js";
import { count, plural } from "./format.js";
import { card, frame, look_again, pane, refill, trouble, watch } from "./server-view.js";
import { emit, sees_faults } from "./state.js";
import { fail, say } from "./undo.js";

const OWN = ["id", "seen", "hits", "spent", "line"]; // what a listed rule has beyond itself
const rule_of = (one) => Object.fromEntries(Object.entries(one).filter(([name]) => !OWN.includes(name)));
let shown = null; // {view, list, form, …}

export async function show_faults() {
  shown = null;
  if (!sees_faults()) { await watch("faults", async () => null, () => pane.replaceChildren(trouble("fault", "Nothing goes wrong here", "Only a sink has faults on demand, a server never.")), { ms: 1e9 }); return; }
  await watch("faults", () => get("/v1/faults"), draw);
}

function draw(said) {
  emit("faults", said.faults);
  if (!shown?.view.isConnected) build(said);
  const { faults } = said, live = faults.filter((one) => !one.spent).length;
  shown.view.querySelector(".number").textContent = faults.length ? `${count(live)} in force${live < faults.length ? `, ${count(faults.length - live)} spent` : ""}` : "";
  for (const button of shown.all) button.hidden = !faults.length;
  const hits = new Map(shown.hits);
  shown.hits = new Map(faults.map((one) => [one.id, one.hits]));
  refill(shown.list, faults.length ? faults.map((one) => row(one, hits.has(one.id) && hits.get(one.id) !== one.hits)) : [nothing()]);
  shown.form.stages(said.stages);
}

function build(said) {
  const list = h("ul", { class: "items", "aria-label": "Rules" }), form = fault_form(said.stages, add);
  const all = [h("button", { type: "button", class: "bare", title: "All rules count from the beginning", onclick: reset_all }, icon("undo"), "Count anew"), h("button", { type: "button", class: "bare", onclick: remove_all }, icon("trash"), "Remove all")];
  const wide = matchMedia("(min-width: 1100px)").matches;
  const composer = h("details", { class: "card maker", open: wide || !said.faults.length }, h("summary", {}, h("h2", {}, "A new rule"), h("kbd", {}, "n")), form.element);
  const view = frame("Faults", "What goes wrong here, for whom and how often. Everything else goes on as usual.", { actions: all }, h("div", { class: "two" }, h("div", { class: "main" }, list, magic(said.magic)), composer));
  shown = { view, list, form, all, hits: new Map() };
  pane.replaceChildren(view);
}

const nothing = () => h("li", { class: "none" }, icon("check"), h("div", {}, h("b", {}, "Nothing goes wrong"), h("p", { class: "quiet" }, "Begin with an example, or say yourself what shall go wrong. Where several rules fit, the oldest that strikes counts.")));

function row(one, struck) {
  const { times, hits, seen, spent } = one, left = times ? Math.max(0, times - hits) : null;
  const said = spent ? `Spent: it struck ${often(hits)}.` : hits === 0 ? (seen ? `Not struck yet, ${count(seen)} passed.` : "Not struck yet.") : `Struck ${often(hits)}${left === null ? "" : `, ${count(left)} left`}.`;
  return h("li", { class: `item rule${spent ? " spent" : ""}${struck ? " struck" : ""}`, tabindex: "0", data: { item: String(one.id) }, "aria-label": `${told(one)} ${said}` },
    h("div", { class: "what" }, h("p", { class: "where" }, h("span", { class: `door is-${one.door}` }, one.door.toUpperCase()), h("code", {}, one.stage === "*" ? "any command" : one.stage)),
      h("p", { class: "said" }, told(one)),
      h("p", { class: "struck-by num" }, times && times <= 12 ? h("span", { class: "dots", "aria-hidden": "true" }, Array.from({ length: times }, (_, at) => h("i", { class: at < hits ? "on" : "" }))) : null, h("span", {}, said), seen > hits && hits ? h("span", { class: "quiet" }, ` ${count(seen - hits)} passed.`) : null)),
    h("div", { class: "does" },
      h("button", { type: "button", class: "bare", title: "Count anew", "aria-label": "Count anew", disabled: !seen, onclick: () => reset(one) }, icon("undo")),
      h("button", { type: "button", class: "bare", title: "Copy as a command", "aria-label": "Copy as a command", onclick: () => copy(`mailsystem fault add '${one.line.replaceAll("'", "'\\''")}'`).then(() => say("Copied.")) }, icon("copy")),
      h("button", { type: "button", class: "bare", title: "Use it in the form", "aria-label": "Use it in the form", onclick: () => use(one) }, icon("draft")),
      h("button", { type: "button", class: "bare", title: "Remove  Del", "aria-label": "Remove", data: { remove: "" }, onclick: () => take_away(one) }, icon("trash"))));
}

function use(one) {
  shown.form.element.closest("details").open = true;
  shown.form.fill(rule_of(one));
}
const magic = (on) => card("Addresses that ask for it", h("p", { class: "quiet" }, on ? "Without any rule, mail to such an address meets what its name says. Anything may stand behind the plus." : "The settings say that these are addresses like any other (faults.magic)."),
  on ? h("ul", { class: "magic" }, MAGIC.map(([address, words]) => h("li", {}, h("code", {}, address), h("span", { class: "quiet" }, words), act("copy", `Copy ${address}`, "", { onclick: (event) => { event.stopPropagation(); copy(address).then(() => say(`${address} copied.`)); } })))) : null);

async function add(rule) {
  await post("/v1/faults", rule);
  say("In force, at once.");
  await look_again();
}
async function doing(what) { try { await what(); } catch (error) { fail(error); } await look_again(); }
const again = (rules) => async () => { for (const one of rules) await post("/v1/faults", rule_of(one)); await look_again(); };

const take_away = (one) => doing(async () => { await remove(`/v1/faults/${one.id}`); say("Removed: all is as usual again.", { undo: again([one]) }); });
const reset = (one) => doing(async () => { await ask("POST", "/v1/faults/reset", { query: { id: one.id } }); say("It counts from the beginning."); });
const reset_all = () => doing(async () => { await post("/v1/faults/reset"); say("All rules count from the beginning."); });
const remove_all = () => doing(async () => { const { faults } = await get("/v1/faults"); await remove("/v1/faults"); say(`${plural(faults.length, "rule")} removed: all is as usual again.`, { undo: again(faults) }); });
