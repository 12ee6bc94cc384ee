// Where the page is: empty, or the path below which a proxy has it, such as /mail.
export const BASE = document.documentElement.dataset.base || "";
