import { getContext, setContext } from "svelte";

/** What is searched for on this page. */
class Find {
	text = $state("");

	/** Whether a row fits: every word stands in one of its texts. */
	fits(...texts: string[]): boolean {
		const all = texts.join(" ").toLowerCase();
		return this.text
			.toLowerCase()
			.split(/\s+/)
			.every((word) => all.includes(word));
	}
}

export const find = new Find();

const everything = Symbol();

/** In a component: its rows show whatever is searched for on the page. */
export function showAllRows(): void {
	setContext(everything, true);
}

/** Whether rows of this component can be searched for. */
export function searched(): boolean {
	return getContext(everything) !== true;
}
