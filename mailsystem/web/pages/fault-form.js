// The form for a rule: it begins with examples, says what each field wants, and tells in a sentence what will happen.
import { h } from "./dom.js";
import { EXAMPLES, stage_words, told } from "./fault-words.js";
import { choice, clear_wrong, field, number, show_wrong, text, tick } from "./fields.js";
import { state } from "./state.js";

const DOORS = ["smtp", "pop3", "imap"];
const NUMBERS = ["delay", "throttle", "truncate", "times", "after", "seed"], WORDS = ["from", "to", "login", "peer", "namespace", "disconnect"];
const PLACEHOLDERS = { smtp: "451 4.7.1 come again", pop3: "-ERR [SYS/TEMP] later", imap: "NO [UNAVAILABLE] later" };
const NO_SENDER = ["CONNECT", "EHLO", "STARTTLS", "AUTH", "HELP", "EXPN"];

/** `add` is given a rule and raises a Problem. Gives {element, fill, stages}. */
export function fault_form(stages, add) {
  let last = "smtp RCPT", touched = 0;
  const stage = choice([], { onchange: changed });
  const doors = h("div", { class: "choice", role: "radiogroup", "aria-label": "Door" }, DOORS.map((door) => h("label", {}, h("input", { type: "radio", name: "door", value: door, checked: door === "smtp", onchange: () => { restage(); changed(); } }), h("span", {}, door.toUpperCase()))));
  const entries = {
    reply: field("reply", "Reply", text({ placeholder: PLACEHOLDERS.smtp }), "what the client hears in place of the usual"),
    delay: field("delay", "Delay", text({ inputmode: "decimal", placeholder: "0" }), "seconds, before the answer"),
    throttle: field("throttle", "Throttle", text({ inputmode: "numeric", placeholder: "full speed" }), "octets a second"),
    truncate: field("truncate", "Truncate", text({ inputmode: "numeric", placeholder: "never" }), "it breaks off after so many octets"),
    disconnect: field("disconnect", "Disconnect", choice([["", "no"], ["before", "before the answer"], ["after", "after the answer"]]), "the connection ends"),
    performed: tick("performed", "Carry the command out all the same"), renamed: tick("renamed", "Give every message another name (UIDL)"),
    from: field("from", "From", text({ placeholder: "anybody" }), "the envelope’s sender; * is anything, <> nobody"), to: field("to", "To", text({ placeholder: "anybody" }), "a recipient; *@shop.test is all of them"),
    login: field("login", "Login", text({ placeholder: "anybody" }), "who has logged in"), peer: field("peer", "Peer", text({ placeholder: "any" }), "address or network: 2001:db8::/32"),
    namespace: field("namespace", "Space", text({ placeholder: "everywhere", list: "known-spaces" }), "only what is for that space"),
    times: field("times", "Times", text({ inputmode: "numeric", placeholder: "for ever" }), "then all is as usual"), after: field("after", "After", text({ inputmode: "numeric", placeholder: "0" }), "so many pass first"),
    probability: field("probability", "Probability", text({ inputmode: "decimal", placeholder: "1" }), "0.3 strikes at three of ten"), seed: field("seed", "Seed", text({ inputmode: "numeric", placeholder: "0" }), "which ones: always the same"),
  };
  const sentence = h("p", { class: "sentence", "aria-live": "polite" });
  const examples = h("div", { class: "examples", role: "group", "aria-label": "Examples" }, EXAMPLES.map(([words, rule], at) => h("button", { type: "button", class: `chip is-${rule.door}`, title: told(rule), data: at === 0 ? { first: "" } : {}, onclick: () => { fill(rule); form.querySelector("[type=submit]").focus({ preventScroll: true }); } }, words)));
  const group = (title, ...parts) => h("fieldset", {}, h("legend", {}, title), parts);
  const whom = h("details", { class: "more" }, h("summary", {}, "Whom", h("span", { class: "quiet" })), h("div", { class: "grid" }, entries.from, entries.to, entries.login, entries.peer, entries.namespace));
  const form = h("form", { class: "form", novalidate: true, onsubmit: send, oninput: changed }, h("p", { class: "quiet" }, "Begin with one of these:"), examples,
    group("Where", h("div", { data: { field: "door" }, class: "entry" }, doors, h("small", { class: "wrong", role: "alert" })), field("stage", "Stage", stage, "")),
    group("What goes wrong", entries.reply, h("div", { class: "grid" }, entries.delay, entries.throttle, entries.disconnect, entries.truncate), entries.performed, entries.renamed), whom,
    group("How often", h("div", { class: "grid" }, entries.times, entries.after, entries.probability, entries.seed)),
    h("datalist", { id: "known-spaces" }, state.accounts.filter((one) => one.kind === "space").map((one) => h("option", { value: one.space }))),
    sentence, h("p", { class: "wrong", role: "alert" }), h("div", { class: "buttons" }, h("button", { type: "submit", class: "first" }, "Add the rule"), h("button", { type: "button", class: "bare", onclick: () => fill({ door: door(), stage: stage.value }) }, "Empty")));

  const input = (name) => form.elements[name];
  const door = () => form.elements.door.value || "smtp";

  function restage(wanted = stage.value) {
    const all = [...(stages[door()] || []), "*"];
    stage.replaceChildren(...all.map((one) => h("option", { value: one }, one === "*" ? "* · at every command" : stage_words(door(), one) === `at ${one}` ? one : `${one} · ${stage_words(door(), one)}`)));
    stage.value = all.includes(wanted) ? wanted : { smtp: "RCPT", pop3: "RETR", imap: "FETCH" }[door()];
    input("reply").placeholder = PLACEHOLDERS[door()];
  }
  function rule() {
    const made = { door: door(), stage: stage.value };
    if (input("reply").value) made.reply = input("reply").value.replaceAll("\\n", "\n");
    for (const name of NUMBERS) { const value = entries[name].hidden ? undefined : number(input(name).value); if (value !== undefined) made[name] = value; }
    for (const name of WORDS) { const value = entries[name].hidden ? "" : input(name).value.trim(); if (value) made[name] = value; }
    const chance = number(input("probability").value);
    if (chance !== undefined) made.probability = chance;
    for (const name of ["performed", "renamed"]) if (!entries[name].hidden && input(name).checked) made[name] = true;
    return made;
  }
  function changed() {
    touched += 1;
    const at = door(), where = stage.value;
    entries.from.hidden = at !== "smtp" || NO_SENDER.includes(where);
    entries.to.hidden = entries.from.hidden || where === "MAIL";
    entries.login.hidden = where === "CONNECT";
    entries.renamed.hidden = at !== "pop3" || where !== "UIDL";
    entries.performed.hidden = where === "CONNECT" || where === "*" || (at === "smtp" && !["BODY", "AUTH"].includes(where));
    entries.seed.hidden = number(input("probability").value) === undefined;
    const now = rule(), named = ["from", "to", "login", "peer", "namespace"].filter((name) => now[name]);
    whom.querySelector("summary span").textContent = named.length ? named.map((name) => `${name} ${now[name]}`).join(", ") : "anybody";
    const words = told(now);
    if (sentence.textContent !== words) sentence.textContent = words;
    if (last !== `${at} ${where}`) { last = `${at} ${where}`; clear_wrong(form); }
  }
  function fill(given) {
    form.reset();
    clear_wrong(form);
    for (const one of form.elements.door) one.checked = one.value === given.door;
    restage(given.stage);
    for (const [name, value] of Object.entries(given)) {
      if (name === "door" || name === "stage" || !entries[name]) continue;
      if (value === true) input(name).checked = true;
      else input(name).value = String(value).replaceAll("\n", "\\n");
    }
    if (["from", "to", "login", "peer", "namespace"].some((name) => given[name])) whom.open = true;
    changed();
  }
  async function send(event) {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    clear_wrong(form);
    const before = touched;
    try { await add(rule()); if (before === touched) fill({ door: door(), stage: stage.value }); } catch (error) { show_wrong(form, error); } finally { button.disabled = false; }
  }
  restage("RCPT");
  changed();
  return { element: form, fill, stages: (given) => { stages = given; } };
}
