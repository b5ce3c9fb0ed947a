import { defineConfig } from "vite";

// The page is one script and one style sheet; the server's policy allows no inline scripts.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../atrous/serve/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
});
