import { expect, test } from "@playwright/test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const dist = join(import.meta.dirname, "../../dist");
const limit = 400 * 1024;

test("the whole page is under 400 KB, packed", () => {
	const files = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((f) => statSync(join(dist, f)).isFile());
	expect(files, "build the page first: make ui").toContain("index.html");
	const sizes = files.map((f) => ({ f, size: gzipSync(readFileSync(join(dist, f)), { level: 9 }).length }));
	const total = sizes.reduce((sum, s) => sum + s.size, 0);
	console.log(`the page is ${Math.round(total / 1024)} KB packed`);
	expect(total).toBeLessThan(limit);
});

test("the page asks nobody but Patchbay, and has no script in itself", () => {
	const html = readFileSync(join(dist, "index.html"), "utf8");
	expect(html).not.toMatch(/https?:\/\//);
	expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/);
	expect(html).not.toMatch(/\son\w+=/);
});
