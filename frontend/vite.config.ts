import { svelte } from "@sveltejs/vite-plugin-svelte";
import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";

// `npm run dev` serves the page with hot reload and hands API calls to a running Patchbay.
const backend = process.env.PATCHBAY_BASE ?? "http://127.0.0.1:8390";

export default defineConfig({
	base: "./",
	plugins: [tailwindcss(), svelte()],
	build: {
		target: "es2022",
		// The page is served from the disk of the same computer: one request more costs less than a preload script.
		modulePreload: { polyfill: false },
		assetsInlineLimit: 0,
		reportCompressedSize: false,
	},
	preview: { proxy: { "/api": { target: backend, ws: true, changeOrigin: true, headers: { origin: backend } } } },
	server: {
		host: "127.0.0.1",
		proxy: { "/api": { target: backend, ws: true, changeOrigin: true, headers: { origin: backend } } },
	},
});
