// What the page is looking at, and who wants to hear of it. Modules speak to each other through here, and never in a circle.
const heard = new EventTarget();

export const state = {
  info: null, accounts: [], mailboxes: [], faults: [],
  account: "", mailbox: "INBOX", query: "", id: null, tab: "message", view: "mail",
  live: "connecting", tags: new Map(), // tags: by name, how many of the messages seen have it
};

export const on = (name, run) => heard.addEventListener(name, (event) => run(event.detail));
export const emit = (name, detail) => heard.dispatchEvent(new CustomEvent(name, { detail }));
/** Runs a command by its name (commands.js). */
export const run = (command, given) => emit("run", { command, given });

/** Whether what is written here may go somewhere: in a sink to itself. */
export const can_send = () => Boolean(state.info && (state.info.user ? may("send") || state.info.sending : state.info.role === "sink" || state.info.sending));
/** Whether the sessions of everybody may be seen. */
export const sees_all = () => Boolean(state.info && (state.info.role === "sink" || state.info.user?.admin));

/** Whether who looks has that scope. In a sink everybody has all, but for who came in by the token of a space. */
export const may = (scope) => Boolean(state.info && (state.info.user ? state.info.user.scopes.includes(scope) : state.info.role === "sink"));
/** Whether things go wrong here on demand, and whether there can be spaces: only in a sink. */
export const sees_faults = () => Boolean(state.info?.faults && may("write"));
export const sees_spaces = () => Boolean(state.info?.spaces);

let kept = {};
try { kept = JSON.parse(localStorage.getItem("mailsystem") || "{}"); } catch { /* no storage: nothing is remembered */ }

// What another tab remembers is known here, too.
addEventListener("storage", ({ key, newValue }) => { if (key === "mailsystem") try { kept = JSON.parse(newValue || "{}"); } catch { /* not ours */ } });

/** What is remembered in this browser: theme, widths, whether to notify. */
export const remembered = (name, otherwise = null) => kept[name] ?? otherwise;
export function remember(name, value) {
  kept[name] = value;
  try { localStorage.setItem("mailsystem", JSON.stringify(kept)); } catch { /* only until the page closes */ }
}
