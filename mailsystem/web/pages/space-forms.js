// What a space is given when it is opened and later: how long it lasts, what it keeps, and tokens that open it alone.
import { get, patch, post, remove } from "./api.js";
import { open } from "./dialog.js";
import { copy, h, icon } from "./dom.js";
import { choice, clear_wrong, field, number, show_wrong, text, tick } from "./fields.js";
import { age } from "./format.js";
import { fail, say } from "./undo.js";

const of = (name) => `/v1/spaces/${encodeURIComponent(name)}`;

/** How long without being used: {entry, value} in seconds, undefined where nothing stands there. */
export function lasting(seconds = null) {
  const by = seconds === null ? 3600 : [86_400, 3600].find((each) => seconds % each === 0) || 60;
  const own = h("input", { type: "number", min: "1", step: "any", inputmode: "decimal", placeholder: "2", ...(seconds === null ? {} : { value: String(seconds / by) }) });
  const unit = choice([["60", "minutes"], ["3600", "hours"], ["86400", "days"]], { "aria-label": "Unit", name: "unit" });
  const entry = field("ttl", "Lasts", own, seconds === null ? "without being used; a day, or what the settings say, where nothing stands here" : "without being used");
  const pair = h("span", { class: "pair" });
  own.replaceWith(pair);
  pair.append(own, unit);
  for (const option of unit.options) option.defaultSelected = option.value === String(by);
  return { entry, value: () => { const given = number(own.value); return given === undefined ? undefined : given * Number(unit.value); } };
}

/** What is kept: {entries, value} as `retention`, null where it is as elsewhere. */
export function keeping(given = null) {
  const input = (value, by) => text({ inputmode: "decimal", placeholder: "as elsewhere", ...(value ? { value: String(value / by) } : {}) });
  const entries = [field("age", "For", input(given?.age, 3600), "hours"), field("messages", "At most", input(given?.messages, 1), "messages"), field("octets", "Together", input(given?.octets, 1e6), "MB")];
  const value = () => {
    const made = {};
    for (const [at, [name, by]] of [["age", 3600], ["messages", 1], ["octets", 1e6]].entries()) {
      const typed = number(entries[at].querySelector("input").value);
      if (typed !== undefined) made[name] = typeof typed === "number" ? (by === 1 ? typed : Math.round(typed * by)) : typed;
    }
    return Object.keys(made).length ? made : null;
  };
  return { entries, value };
}

/** Has a form sent, and says beside its fields what is wrong. */
export const sending = (form, what) => async (event) => {
  event.preventDefault();
  const button = form().querySelector("[type=submit]");
  button.disabled = true;
  clear_wrong(form());
  try { await what(); } catch (error) { show_wrong(form(), error); } finally { button.disabled = false; }
};

export function change_space(one, done) {
  const ttl = lasting(one.ttl), kept = keeping(one.retention);
  const form = h("form", { class: "form", novalidate: true, onsubmit: sending(() => form, async () => {
    await patch(of(one.name), { ttl: ttl.value() ?? null, retention: kept.value() });
    made.close();
    say(`${one.name} is changed.`);
    await done?.();
  }) }, h("h2", {}, `The space ${one.name}`), ttl.entry, h("fieldset", {}, h("legend", {}, "What it keeps"), h("div", { class: "grid" }, kept.entries)),
  h("p", { class: "wrong", role: "alert" }), h("div", { class: "buttons" }, h("button", { type: "submit", class: "first" }, "Change it"), h("button", { type: "button", class: "bare", onclick: () => made.close() }, "Cancel")));
  const made = open(form, { label: `The space ${one.name}`, kind: "sheet-form" });
}

const once = (token) => h("div", { class: "token" }, h("code", {}, token), h("button", { type: "button", onclick: () => copy(token).then(() => say("Copied.")) }, icon("copy"), "Copy"));

/** A token that was made with its space: shown this once. */
export function show_token(name, token) {
  open(h("form", { class: "form", method: "dialog" }, h("h2", {}, `${name} is open, and this opens it`), h("p", {}, "Whoever sends it as ", h("code", {}, "Authorization: Bearer"), ", or as a password, is in the space and nowhere else. It is shown this once."), once(token),
    h("div", { class: "buttons" }, h("button", { class: "first" }, "Done"))), { label: "A token", kind: "sheet-form" });
}

export async function space_tokens(one) {
  const list = h("ul", { class: "tokens" }), shown = h("div", {});
  const draw = async () => {
    const { tokens } = await get(`${of(one.name)}/tokens`);
    list.replaceChildren(...(tokens.length ? tokens.map((each) => h("li", {}, h("div", {}, h("b", {}, each.name), h("small", { class: "quiet" }, `${each.scopes.join(", ")} · used ${age(each.used)}`)),
      h("button", { type: "button", class: "bare", "aria-label": `Remove ${each.name}`, title: "Remove", onclick: async () => { try { await remove(`${of(one.name)}/tokens/${encodeURIComponent(each.name)}`); say(`${each.name} opens nothing any more.`); } catch (error) { fail(error); } await draw(); } }, icon("trash")))) : [h("li", { class: "quiet" }, "It has none.")]));
  };
  const SCOPES = ["read", "write", "send"];
  const form = h("form", { class: "form", novalidate: true, onsubmit: sending(() => form, async () => {
    const made = await post(`${of(one.name)}/tokens`, { name: form.elements.name.value.trim(), scopes: SCOPES.filter((scope) => form.elements[scope].checked) });
    form.reset();
    shown.replaceChildren(h("p", { class: "quiet" }, `${made.name} is shown this once:`), once(made.token));
    await draw();
  }) }, h("h2", {}, `Tokens of ${one.name}`), h("p", { class: "quiet" }, "Each opens this space and nothing else, and ends with it."), list,
  field("name", "One more", text({ placeholder: "what it is for" })), h("div", { class: "scopes", data: { field: "scopes" } }, SCOPES.map((scope) => tick(scope, scope, { checked: "" })), h("small", { class: "wrong", role: "alert" })),
  shown, h("p", { class: "wrong", role: "alert" }), h("div", { class: "buttons" }, h("button", { type: "submit", class: "first" }, "Make it"), h("button", { type: "button", class: "bare", onclick: () => made.close() }, "Close")));
  try { await draw(); } catch (error) { return fail(error); }
  const made = open(form, { label: `Tokens of ${one.name}`, kind: "sheet-form" });
}
