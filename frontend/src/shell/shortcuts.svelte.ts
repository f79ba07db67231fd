import { untrack } from "svelte";
import type { Key } from "../i18n/index.svelte";
import { prefs } from "../state/prefs.svelte";

interface Shortcut {
	/** one letter, as typed */
	key: string;
	label: Key;
	run: () => void;
}

/** What single letters do on the page that is open. */
class Shortcuts {
	list = $state.raw<Shortcut[]>([]);
	/** the letter after G */
	#leader = 0;

	/** Makes a letter do something while a component lives: `$effect(() => shortcuts.add({...}))`. */
	add(shortcut: Shortcut): () => void {
		this.list = [...untrack(() => this.list), shortcut];
		return () => {
			this.list = this.list.filter((s) => s !== shortcut);
		};
	}

	/** Handles a key; go is asked for the letter after G. */
	handle(event: KeyboardEvent, go: (letter: string) => boolean): void {
		if (!prefs.shortcuts || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || inField(event.target)) return;
		if (document.querySelector("[role=dialog], [role=menu]")) return;
		const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
		const leading = Date.now() - this.#leader < 1500;
		this.#leader = 0;
		if (leading && go(key)) {
			event.preventDefault();
		} else if (key === "g") {
			this.#leader = Date.now();
		} else if (key === "/") {
			const search = document.querySelector<HTMLElement>("main [data-search]");
			if (!search) return;
			event.preventDefault();
			search.focus();
		} else {
			const shortcut = this.list.findLast((s) => s.key === key);
			if (!shortcut) return;
			event.preventDefault();
			shortcut.run();
		}
	}
}

function inField(target: EventTarget | null): boolean {
	return target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=checkbox]), textarea, select"));
}

export const shortcuts = new Shortcuts();
