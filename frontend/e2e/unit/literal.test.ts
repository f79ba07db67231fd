import { expect, test } from "@playwright/test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "svelte/compiler";

const src = join(import.meta.dirname, "../../src");
const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".svelte"));

/** Attributes that are read by people. */
const spoken = new Set(["title", "label", "placeholder", "alt", "aria-label", "aria-description", "hint", "text", "facts", "word", "detail"]);
/** What is the same in every language: the name of the product, and what is typed as it is. */
const same = /^(Patchbay|Ctrl\/⌘)$/;

interface Node {
	type: string;
	name?: string;
	data?: string;
	value?: Node | Node[] | string | true;
	[field: string]: unknown;
}

function letters(text: string): boolean {
	return /\p{L}{2,}/u.test(text) && !same.test(text.trim());
}

/** Finds text of the template that is written there instead of in i18n/. */
function literals(source: string): string[] {
	const found: string[] = [];
	const walk = (node: unknown, inAttribute: string): void => {
		if (Array.isArray(node)) return node.forEach((n) => walk(n, inAttribute));
		if (typeof node !== "object" || node === null) return;
		const n = node as Node;
		if (n.type === "Attribute") {
			if (spoken.has(n.name ?? "")) walk(n.value, n.name ?? "");
			return;
		}
		if (n.type === "Text") {
			if (letters(n.data ?? "")) found.push(`${inAttribute} ${JSON.stringify((n.data ?? "").trim())}`.trim());
			return;
		}
		if (n.type === "ExpressionTag" && !inAttribute) return;
		if (n.type === "Literal" && inAttribute && typeof n.value === "string" && letters(n.value)) found.push(`${inAttribute} "${String(n.value)}"`);
		if (n.type === "CallExpression") return; // t("..."), href("...")
		for (const [field, value] of Object.entries(n)) {
			if (field === "parent" || field === "metadata" || field === "test") continue;
			walk(value, inAttribute);
		}
	};
	walk(parse(source, { modern: true }).fragment, "");
	return found;
}

test("the look for literal text finds some", () => {
	expect(literals(`<p title="Hello there">{x} Some text</p>`)).toEqual(['title "Hello there"', '"Some text"']);
	expect(literals(`<p class="a" title={t("key.x")}>· {t("key.y")}</p>`)).toEqual([]);
	expect(literals(`<B label={on ? "Switch off" : t("a.b")} />`)).toEqual(['label "Switch off"']);
});

for (const file of files) {
	test(`${file} holds no literal text`, () => {
		expect(literals(readFileSync(join(src, file), "utf8"))).toEqual([]);
	});
}

test("every key that is named exists", () => {
	const known = new Set(
		readdirSync(join(src, "i18n/en"))
			.filter((f) => f.endsWith(".json"))
			.flatMap((f) => Object.keys(JSON.parse(readFileSync(join(src, "i18n/en", f), "utf8")) as object)),
	);
	expect(known.size).toBeGreaterThan(100);
	for (const file of readdirSync(src, { recursive: true, encoding: "utf8" }).filter((f) => /\.(svelte|ts)$/.test(f))) {
		for (const [, key] of readFileSync(join(src, file), "utf8").replaceAll(/^\s*(\/\/|\*|\/\*\*).*$/gm, "").matchAll(/\bt\("([\w.]+)"/g)) {
			expect(known.has(key ?? ""), `${file}: ${key}`).toBe(true);
		}
	}
});
