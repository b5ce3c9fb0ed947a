// Light or dark: what the system says, or what was chosen with the button.

const STORED = "atrous-theme";

/** Take over what was chosen before. */
export function restoreTheme(): void {
  const stored = localStorage.getItem(STORED);
  if (stored === "dark" || stored === "light") document.documentElement.dataset.theme = stored;
}

const known = new Map<string, string>();

/** A color of the page as it is now, `#rrggbb`: a canvas knows neither variables of a style sheet nor light-dark(). */
export function themeColor(name: string): string {
  const key = `${shown()} ${name}`;
  const color = known.get(key) ?? computed(name);
  known.set(key, color);
  return color;
}

function computed(name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const levels = getComputedStyle(probe).color.match(/\d+/g) ?? [];
  probe.remove();
  return `#${levels.slice(0, 3).map((level) => Number(level).toString(16).padStart(2, "0")).join("")}`;
}

function shown(): string {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  return document.documentElement.dataset.theme ?? system;
}

/** Change from light to dark or back. */
export function toggleTheme(): void {
  const theme = shown() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem(STORED, theme);
}
