// Before anything is painted: the theme that was chosen, so that dark never flashes light.
(() => {
  try {
    const theme = JSON.parse(localStorage.getItem("mailsystem") || "{}").theme;
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch { /* no storage: as the system likes it */ }
})();
