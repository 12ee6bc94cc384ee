// Fingers: a row swiped to the left goes to Trash, to the right becomes read or unread; a long press marks it.
import { mark } from "./selection.js";
import { run } from "./state.js";

const FAR = 72, LONG = 480; // px, ms

export function swipes(box) {
  let row = null, from = null, moved = 0, press = 0, done = false;
  const end = () => {
    clearTimeout(press);
    if (row) { row.classList.remove("swiping", "far"); row.style.removeProperty("--swipe"); delete row.dataset.way; }
    row = null;
  };
  box.addEventListener("touchstart", (event) => {
    row = event.touches.length === 1 ? event.target.closest(".row") : null;
    if (!row?.item) { row = null; return; }
    from = { x: event.touches[0].clientX, y: event.touches[0].clientY };
    moved = 0; done = false;
    press = setTimeout(() => { if (row && !moved) { done = true; mark(row.item); navigator.vibrate?.(8); end(); } }, LONG);
  }, { passive: true });
  box.addEventListener("touchmove", (event) => {
    if (!row) return;
    const x = event.touches[0].clientX - from.x, y = event.touches[0].clientY - from.y;
    if (!moved && Math.abs(y) > 8 && Math.abs(y) > Math.abs(x)) return end();
    if (Math.abs(x) < 12) return;
    clearTimeout(press);
    moved = x;
    row.classList.add("swiping");
    row.classList.toggle("far", Math.abs(x) > FAR);
    row.dataset.way = x < 0 ? "trash" : "read";
    row.style.setProperty("--swipe", `${Math.max(-140, Math.min(140, x))}px`);
  }, { passive: true });
  box.addEventListener("touchend", (event) => {
    const item = row?.item, way = Math.abs(moved) > FAR ? (moved < 0 ? "trash" : "read") : null;
    end();
    if (way && item) { done = true; run(way, [item]); }
    if (done && event.cancelable) event.preventDefault();
  });
  box.addEventListener("touchcancel", end);
}
