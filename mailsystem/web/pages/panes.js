// The panes: their widths, dragged or by arrow keys and remembered; below 900 px one at a time.
import { $ } from "./dom.js";
import { emit, remember, remembered } from "./state.js";

const LIMITS = { side: [168, 360, 224], list: [280, 720, 400] };
const narrow = matchMedia("(max-width: 899px)");

export const is_narrow = () => narrow.matches;
export function show_pane(name) {
  document.body.dataset.pane = name;
  if (name === "nav") $(".side button, .side a")?.focus({ preventScroll: true });
  emit("pane", name);
}

export function start() {
  for (const grip of document.querySelectorAll(".grip")) {
    const name = grip.dataset.for, [least, most, usual] = LIMITS[name];
    const set = (width, keep = true) => {
      const to = Math.round(Math.max(least, Math.min(most, width)));
      document.body.style.setProperty(`--${name}`, `${to}px`);
      for (const [key, value] of Object.entries({ valuemin: least, valuemax: most, valuenow: to })) grip.setAttribute(`aria-${key}`, String(value));
      if (keep) remember(`width-${name}`, to);
    };
    const kept = remembered(`width-${name}`);
    if (kept) set(kept, false);
    else grip.setAttribute("aria-valuenow", String(usual));
    grip.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      grip.setPointerCapture(event.pointerId);
      const from = event.clientX, width = grip.previousElementSibling.getBoundingClientRect().width;
      const move = (moved) => set(width + moved.clientX - from);
      document.body.classList.add("dragging");
      grip.addEventListener("pointermove", move);
      const end = () => { grip.removeEventListener("pointermove", move); document.body.classList.remove("dragging"); };
      grip.addEventListener("pointerup", end, { once: true });
      grip.addEventListener("pointercancel", end, { once: true });
    });
    grip.addEventListener("dblclick", () => { document.body.style.removeProperty(`--${name}`); remember(`width-${name}`, null); });
    grip.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -16, ArrowRight: 16 }[event.key];
      if (!by) return;
      event.preventDefault();
      set(grip.previousElementSibling.getBoundingClientRect().width + by);
    });
  }
}
