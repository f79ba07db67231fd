import { expect, test } from "@playwright/test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../../src/i18n");
type Message = string | Record<string, string>;

const languages = ["en", "zh-CN", "ja"];
const areas = readdirSync(join(root, "en"))
	.filter((f) => f.endsWith(".json"))
	.map((f) => f.slice(0, -5));

function read(language: string, area: string): Record<string, Message> {
	return JSON.parse(readFileSync(join(root, language, area + ".json"), "utf8")) as Record<string, Message>;
}

function forms(message: Message): string[] {
	return typeof message === "string" ? [message] : Object.values(message);
}

function names(message: Message): string {
	return [...new Set(forms(message).flatMap((f) => [...f.matchAll(/\{(\w+)\}/g)].map((m) => m[1])))].sort().join(" ");
}

for (const area of areas) {
	for (const language of languages.slice(1)) {
		test(`${area} says the same in ${language}`, () => {
			const en = read("en", area);
			const other = read(language, area);
			expect(Object.keys(other).sort()).toEqual(Object.keys(en).sort());
			for (const [key, message] of Object.entries(en)) {
				expect(names(other[key] ?? ""), `values of ${key}`).toBe(names(message));
			}
		});
	}
	test(`${area} has plural forms for every number`, () => {
		for (const language of languages) {
			const needed = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
			for (const [key, message] of Object.entries(read(language, area))) {
				if (typeof message === "string") continue;
				expect(Object.keys(message).sort(), `${language} ${key}`).toEqual([...needed].sort());
				expect(names(message), `${language} ${key}`).toContain("n");
			}
		}
	});
	test(`${area} keeps the manners of each language`, () => {
		for (const language of languages) {
			for (const [key, message] of Object.entries(read(language, area))) {
				for (const text of forms(message)) {
					const where = `${language} ${key}: ${text}`;
					expect(text.trim(), where).toBe(text);
					expect(text, where).not.toMatch(/!|！|\boops\b|\bplease\b|successfully/i);
					expect(text, where).not.toBe("");
				}
			}
		}
	});
}

test("no key stands in two areas", () => {
	const seen = new Map<string, string>();
	for (const area of areas.filter((a) => a !== "tray")) {
		for (const key of Object.keys(read("en", area))) {
			expect(seen.get(key), key).toBeUndefined();
			seen.set(key, area);
		}
	}
});

test("every area is part of the page and of its types", () => {
	const keys = readFileSync(join(root, "keys.ts"), "utf8");
	for (const area of areas.filter((a) => a !== "tray")) expect(keys).toContain(`./en/${area}.json`);
});
