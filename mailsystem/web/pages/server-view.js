// What the views of the server have in common (faults, spaces, retention): their frame, how they stay true, and their keys.
import { $, bones, h, icon } from "./dom.js";
import { state } from "./state.js";

export const pane = $(".reading");
let looking = null; // {view, look, stop} of what is shown now

const styled = new Promise((done) => {
  const link = h("link", { rel: "stylesheet", href: new URL("./views.css", import.meta.url).href, onload: done, onerror: done });
  document.head.append(link);
});

/** Puts a view in its frame: a heading, what it is about, what can be done with all of it, and its parts. */
export function frame(title, words, { actions = [], number = "" } = {}, ...parts) {
  return h("div", { class: "view" },
    h("header", {}, h("button", { type: "button", class: "bare to-list", "aria-label": "Back", title: "Back  Esc", data: { run: "back" } }, icon("back")), h("h1", {}, title), h("span", { class: "quiet num number" }, number), h("span", { class: "space" }), h("div", { class: "actions" }, actions)),
    words ? h("p", { class: "lead" }, words) : null, parts);
}
export const card = (title, ...parts) => h("section", { class: "card" }, title ? h("h2", {}, title) : null, parts);
export const trouble = (name, title, words, ...buttons) => h("div", { class: "state", role: "alert" }, icon(name), h("h2", {}, title), words ? h("p", {}, words) : null, h("div", { class: "buttons" }, buttons, h("button", { type: "button", data: { run: "back" } }, "Back to the mail")));

/** Shows a view, and asks again every few seconds while it is in front, and when somebody comes back to the tab.
 *  `ask` gives what there is to draw, `draw` draws it where it is not what was drawn before, or each time with `always`. */
export async function watch(view, ask, draw, { ms = 2000, always = false } = {}) {
  looking?.stop();
  let last = null, timer = 0, stopped = false, asked = 0;
  const mine = (looking = { view, stop: () => { stopped = true; clearTimeout(timer); } });
  pane.replaceChildren(h("div", { class: "loading" }, bones("24%", "60%", "72%", "66%")));
  pane.scrollTop = 0;
  await styled;
  mine.look = async () => {
    clearTimeout(timer);
    if (stopped || state.view !== view) return mine.stop();
    const turn = (asked += 1);
    let said, wrong = null;
    try { said = await ask(); } catch (error) { wrong = error; }
    if (stopped || state.view !== view || turn !== asked || wrong?.status === 401) return;
    if (!wrong) {
      const text = JSON.stringify(said);
      // What somebody is pressing stays where it is; the next time is soon enough.
      if (last === null || ((always || text !== last) && !pane.querySelector(":is(a, button, summary):active"))) { last = text; draw(said); }
    } else if (last === null) {
      pane.replaceChildren(trouble("error", "This could not be loaded", wrong.message, h("button", { type: "button", onclick: () => watch(view, ask, draw, { ms, always }) }, "Try again")));
    }
    if (!document.hidden) { clearTimeout(timer); timer = setTimeout(mine.look, ms); }
  };
  return mine.look();
}
export const look_again = () => looking?.look?.();
document.addEventListener("visibilitychange", () => document.hidden || look_again());

/** Draws anew; whoever had the focus has it on the same thing again, if the things are as many. */
export function redrawn(draw) {
  const all = () => [...pane.querySelectorAll("a, button, summary")], at = all().indexOf(document.activeElement);
  draw();
  if (at >= 0) all()[at]?.focus({ preventScroll: true });
}

/** Rows in place of what was there; whoever had the focus keeps it. */
export function refill(list, rows) {
  const held = list.contains(document.activeElement) ? document.activeElement.closest("[data-item]") : null;
  const key = held?.dataset.item, at = held ? [held, ...held.querySelectorAll("button, a")].indexOf(document.activeElement) : -1, place = held ? [...list.children].indexOf(held) : -1;
  list.replaceChildren(...rows);
  if (!held) return;
  const again = rows.find((row) => row.dataset?.item === key);
  const to = again ? [again, ...again.querySelectorAll("button, a")][at] || again : rows[Math.min(place, rows.length - 1)];
  to?.focus?.({ preventScroll: true });
}

// j and k go through the rows, Del removes the one with the focus, n begins a new one.
document.addEventListener("keydown", (event) => {
  if (state.view === "mail" || !looking || looking.view !== state.view || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]") || event.target.closest?.("input, textarea, select")) return;
  const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
  if (step && !event.target.closest?.("[role=radiogroup], .side")) {
    const items = [...pane.querySelectorAll("[data-item]")];
    if (!items.length) return;
    const at = items.indexOf(document.activeElement?.closest("[data-item]"));
    const to = items[at < 0 ? (step > 0 ? 0 : items.length - 1) : Math.max(0, Math.min(items.length - 1, at + step))];
    to.focus();
    to.scrollIntoView({ block: "nearest" });
  } else if (event.key === "Delete") document.activeElement?.closest("[data-item]")?.querySelector("[data-remove]")?.click();
  else if (event.key === "n") { const first = pane.querySelector("[data-first]"), closed = first?.closest("details:not([open])"); if (closed) closed.open = true; first?.focus(); first?.scrollIntoView({ block: "nearest" }); }
  else if (event.key === ".") look_again();
  else return;
  event.preventDefault();
}, true);
