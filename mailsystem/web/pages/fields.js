// Fields of a form that say what they want, and what was wrong with what they got: the server's own words, beside the field.
import { h } from "./dom.js";

let made = 0;

/** A field: its name, what one types into, and a hint below. */
export function field(name, label, input, hint = "") {
  const id = `field-${(made += 1)}`;
  input.id = id;
  input.name = name;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "entry", data: { field: name } }, h("label", { for: id }, label), input, hint ? h("small", { class: "hint", id: `${id}-hint` }, hint) : null, h("small", { class: "wrong", role: "alert", id: `${id}-wrong` }));
}
export const text = (more = {}) => h("input", { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: false, ...more });
export const tick = (name, label, more = {}) => h("div", { class: "entry", data: { field: name } }, h("label", { class: "check" }, h("input", { type: "checkbox", name, ...more }), label), h("small", { class: "wrong", role: "alert" }));
export const choice = (options, more = {}) => h("select", more, options.map(([value, words]) => h("option", { value }, words)));

/** A number where there is one; what else was typed goes to the server, which says what is wrong with it. */
export const number = (typed) => { const words = typed.trim(); return words === "" ? undefined : Number.isNaN(Number(words)) ? words : Number(words); };

export function clear_wrong(form) {
  for (const one of form.querySelectorAll(".wrong")) one.textContent = "";
  for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
}

/** Says what was wrong beside the field that it is about, else at the end of the form. */
export function show_wrong(form, error) {
  clear_wrong(form);
  const where = error.more?.field ?? error.more?.errors?.[0]?.where?.split(".").find((part) => form.querySelector(`[data-field="${CSS.escape(part)}"]`));
  const entry = where ? form.querySelector(`[data-field="${CSS.escape(where)}"]`) : null;
  const said = (error.more?.errors?.[0]?.message && entry ? error.more.errors[0].message : error.message) || "That did not work.";
  const closed = entry?.closest("details:not([open])");
  if (closed) closed.open = true;
  const visible = entry && !entry.hidden;
  (visible ? entry : form).querySelector(visible ? ".wrong" : ":scope > .wrong").textContent = `${said.charAt(0).toUpperCase()}${said.slice(1)}${/[.!?]$/.test(said) ? "" : "."}`;
  const input = visible ? entry.querySelector("input, select") : null;
  if (!input) return;
  input.setAttribute("aria-invalid", "true");
  input.focus();
  input.select?.();
}
