import { expect, test } from "@playwright/test";
import { fill, split, type Texts } from "../../src/i18n/message";

const texts: Texts = { plain: "To {name}: {n} of {m}", many: { one: "{n} account", other: "{n} accounts" } };

test("values are put in, numbers in the manner of the language", () => {
	expect(fill(texts, "en", "plain", { name: "a", n: 1234, m: "9" })).toBe("To a: 1,234 of 9");
	expect(fill(texts, "de", "plain", { name: "a", n: 1234, m: 9 })).toBe("To a: 1.234 of 9");
});

test("n chooses the plural form", () => {
	expect([0, 1, 2].map((n) => fill(texts, "en", "many", { n }))).toEqual(["0 accounts", "1 account", "2 accounts"]);
	expect(fill({ many: { other: "{n} 件" } }, "ja", "many", { n: 1 })).toBe("1 件");
});

test("what is missing stays visible", () => {
	expect(fill(texts, "en", "nothing")).toBe("nothing");
	expect(fill(texts, "en", "plain", { n: 1, m: 2 })).toBe("To {name}: 1 of 2");
});

test("a name without a value becomes a slot", () => {
	expect(split(texts, "en", "plain", { n: 1, m: 2 })).toEqual([{ text: "To " }, { slot: "name" }, { text: ": 1 of 2" }]);
});
