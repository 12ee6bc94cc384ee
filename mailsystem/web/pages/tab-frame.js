// The message as it is meant to be seen: sanitised by the server, in a frame without scripts, at the width of a device.
import { one } from "./actions.js";
import { url } from "./api.js";
import { h, icon } from "./dom.js";
import { emit, state } from "./state.js";

const pages = new WeakMap(); // frame → the page of it that was turned to
const MOST_PAGES = 60; // as many marks as the document of the message has (sanitizing.py)

/** Turns a page within the frame. It lets nobody look into it, but it can be led to a mark; where it ends is not known here. */
export function turn_page(made, by) {
  const to = Math.max(0, Math.min(MOST_PAGES, (pages.get(made) || 0) + by));
  pages.set(made, to);
  made.contentWindow.location.replace(`${made.src}#mailsystem-page-${to}`);
}

export const html_address = (message, look) => url(`${one(message.id)}/html`, { account: state.account, images: look.images ? 1 : 0, theme: look.theme });

const DEVICES = { fit: ["Full width", "fit"], desktop: ["Desktop, 1280", "desktop", 1280, 800], tablet: ["Tablet, 768", "tablet", 768, 1024], phone: ["Phone, 375", "phone", 375, 667] };

export function frame(message, look) {
  // A phone is a phone already.
  const shape = matchMedia("(max-width: 600px)").matches ? "fit" : look.width;
  const [, , width, tall] = DEVICES[shape] || DEVICES.fit;
  // Made anew each time: a frame whose address changes would put steps into the history.
  const made = h("iframe", { title: "The message", sandbox: "allow-popups allow-popups-to-escape-sandbox", referrerpolicy: "no-referrer", src: html_address(message, look) });
  const device = h("div", { class: `device ${shape} ${look.theme}` }, made);
  const stage = h("div", { class: "stage" }, device);
  if (width) {
    const fit = () => {
      const room = stage.clientWidth - 2, edge = look.width === "phone" ? 18 : 2, scale = Math.min(1, room / (width + edge)), height = Math.max(240, Math.min(tall, (stage.clientHeight - 4) / scale - edge));
      device.style.setProperty("--width", `${width}px`);
      device.style.setProperty("--height", `${Math.round(height)}px`);
      device.style.setProperty("--scale", String(scale));
    };
    new ResizeObserver(fit).observe(stage);
  }
  // Keys go to the page again as soon as the pointer leaves the frame.
  stage.addEventListener("pointerleave", () => document.activeElement === made && made.blur());
  const set = (what, to) => () => emit("look", { what, to });
  return [h("div", { class: "sheet-bar" },
    message.remote_content ? h("p", { class: "note" }, icon(look.images ? "image" : "shield"), h("span", {}, look.images ? "Images from other servers are shown." : "Images from other servers are blocked."), h("button", { type: "button", class: "link", title: "i", onclick: set("images") }, look.images ? "Block them" : "Show them once")) : h("span", { class: "space" }),
    h("div", { class: "choice", role: "group", "aria-label": "Width" }, Object.entries(DEVICES).map(([name, [label, shape]]) => h("button", { type: "button", class: name === look.width ? "bare on" : "bare", "aria-pressed": String(name === look.width), "aria-label": label, title: `${label}  w`, onclick: set("width", name) }, icon(shape)))),
    h("button", { type: "button", class: "bare", "aria-label": look.theme === "light" ? "Sheet on dark" : "Sheet on light", title: "Sheet light or dark  b", "aria-pressed": String(look.theme === "dark"), onclick: set("sheet") }, icon(look.theme === "light" ? "moon" : "sun"))), stage];
}
