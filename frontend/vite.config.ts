import { svelte } from "@sveltejs/vite-plugin-svelte";
import tailwindcss from "@tailwindcss/vite";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

// `npm run dev` serves the page with hot reload and hands API calls to a running Patchbay.
const backend = process.env.PATCHBAY_BASE ?? "http://127.0.0.1:8390";

/**
 * Writes licences.json: which libraries are in the built page, and their licences whole. The bundle says which those are; of the
 * style sheets only Tailwind's base comes from elsewhere.
 */
function licences(): Plugin {
	return {
		name: "licences",
		generateBundle(_, bundle) {
			const found = new Set([join(import.meta.dirname, "node_modules/tailwindcss")]);
			for (const chunk of Object.values(bundle)) {
				if (chunk.type !== "chunk") continue;
				for (const id of chunk.moduleIds) {
					const folder = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1];
					if (folder) found.add(folder);
				}
			}
			const list = [...found].map((folder) => {
				const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { name: string; version: string; license?: string };
				const texts = readdirSync(folder).filter((name) => /^(licen[cs]e|copying|notice)/i.test(name));
				const text = texts.map((name) => readFileSync(join(folder, name), "utf8").trim()).join("\n\n");
				return { path: about.name, version: about.version, licence: about.license ?? (/Permission is hereby granted, free of charge/.test(text) ? "MIT" : ""), text };
			});
			const source = JSON.stringify(list.sort((a, b) => (a.path < b.path ? -1 : 1)));
			this.emitFile({ type: "asset", fileName: "licences.json", source });
		},
	};
}

export default defineConfig({
	base: "./",
	plugins: [tailwindcss(), svelte(), licences()],
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
