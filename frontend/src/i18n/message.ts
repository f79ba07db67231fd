export type Message = string | Record<string, string>;
export type Texts = Record<string, Message>;
export type Values = Record<string, string | number>;
export type Part = { text: string } | { slot: string };

const plurals = new Map<string, Intl.PluralRules>();
const numbers = new Map<string, Intl.NumberFormat>();

function cached<T>(map: Map<string, T>, language: string, make: () => T): T {
	let one = map.get(language);
	if (!one) map.set(language, (one = make()));
	return one;
}

function choose(texts: Texts, language: string, key: string, values: Values): string {
	const message = texts[key];
	if (message === undefined) return key;
	if (typeof message === "string") return message;
	const n = Number(values["n"]);
	const form = cached(plurals, language, () => new Intl.PluralRules(language)).select(n);
	return message[form] ?? message["other"] ?? key;
}

function show(value: string | number, language: string): string {
	if (typeof value === "string") return value;
	return cached(numbers, language, () => new Intl.NumberFormat(language)).format(value);
}

/** The sentence of a key, with its values put in. */
export function fill(texts: Texts, language: string, key: string, values: Values = {}): string {
	return choose(texts, language, key, values).replace(/\{(\w+)\}/g, (whole, name: string) => {
		const value = values[name];
		return value === undefined ? whole : show(value, language);
	});
}

/** The same in pieces: a name without a value becomes a slot. */
export function split(texts: Texts, language: string, key: string, values: Values = {}): Part[] {
	const out: Part[] = [];
	for (const piece of fill(texts, language, key, values).split(/(\{\w+\})/)) {
		const slot = /^\{(\w+)\}$/.exec(piece)?.[1];
		if (slot) out.push({ slot });
		else if (piece) out.push({ text: piece });
	}
	return out;
}
