// Light or dark: what the system says, or what was chosen with the button.

const STORED = "atrous-theme";

/** Take over what was chosen before. */
export function restoreTheme(): void {
  const stored = localStorage.getItem(STORED);
  if (stored === "dark" || stored === "light") document.documentElement.dataset.theme = stored;
}

/** Change from light to dark or back. */
export function toggleTheme(): void {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const theme = (document.documentElement.dataset.theme ?? system) === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem(STORED, theme);
}
