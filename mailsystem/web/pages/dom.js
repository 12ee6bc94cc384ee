// Elements from values. Text is only ever text: nothing here, or anywhere on the page, parses data as markup.
import { icons } from "./icons.js";

const SVG = "http://www.w3.org/2000/svg";

/** h("p", {class: "x", onclick: run}, "words", child): an element. Properties that are null or false are left out. */
export function h(name, given = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "vars") for (const [name, said] of Object.entries(value)) made.style.setProperty(name, said);
    else if (key === "data") Object.assign(made.dataset, value);
    else if (key === "value" || (key in made && typeof value !== "string")) made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function icon(name, more = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", `icon ${name === "more" ? "dots" : ""} ${more}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", icons[name]);
  svg.append(path);
  return svg;
}

/** A button that runs a command; its key is in its tooltip. */
export function act(name, label, command, { key = "", more = "bare", words = false, ...rest } = {}) {
  return h("button", { type: "button", class: more, title: key ? `${label}  ${key}` : label, "aria-label": words ? null : label, data: { run: command }, ...rest }, icon(name), words ? label : null);
}

export const $ = (selector, under = document) => under.querySelector(selector);

export function later(run, ms) {
  let timer = 0;
  const call = (...given) => { clearTimeout(timer); timer = setTimeout(run, ms, ...given); };
  call.cancel = () => clearTimeout(timer);
  return call;
}

export const bones = (...widths) => h("div", { class: "bones stack", "aria-hidden": "true" }, widths.map((width) => h("span", { class: "bone", vars: { width } })));

export async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = h("textarea", { class: "away", value: text });
  (document.querySelector("dialog[open]") || document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
