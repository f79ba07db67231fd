import { prefs, type Language } from "../state/prefs.svelte";
import type { Key } from "./keys";
import { fill, type Values, type Texts, split, type Part } from "./message";

export type { Key } from "./keys";
export type { Values } from "./message";

// One chunk per language; only the one that is read is fetched.
const loaders: Record<Language, () => Promise<{ default: Texts }>> = {
	en: () => import("./en"),
	"zh-CN": () => import("./zh-CN"),
	ja: () => import("./ja"),
};

let texts = $state.raw<Texts>({});
let shown = $state<Language>("en");

/** The language on screen, for Intl and the root element. */
export function language(): Language {
	return shown;
}

/** Shows another language once its words are here. */
export async function loadLanguage(to: Language): Promise<void> {
	texts = (await loaders[to]()).default;
	shown = to;
	document.documentElement.lang = to;
	prefs.setLanguage(to);
}

/** The sentence of a key, with its values put in. It changes with the language. */
export function t(key: Key, values?: Values): string {
	return fill(texts, shown, key, values);
}

/** The sentence in pieces, for one that holds a link or a button: text, and the names of what stands between. */
export function parts(key: Key, values?: Values): Part[] {
	return split(texts, shown, key, values);
}

/** Whether there is such a sentence: for keys made from what the server says. */
export function known(key: string): key is Key {
	return key in texts;
}
