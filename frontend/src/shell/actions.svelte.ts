import { untrack } from "svelte";

/** Something that the palette offers. */
export interface Action {
	id: string;
	label: string;
	/** kind of thing, as the palette names it */
	group: string;
	hint?: string;
	run: () => void | Promise<void>;
}

/** What pages add to the palette while they are open. */
class Actions {
	sources = $state.raw<(() => Action[])[]>([]);

	/** `$effect(() => actions.add(() => [...]))` */
	add(source: () => Action[]): () => void {
		this.sources = [...untrack(() => this.sources), source];
		return () => {
			this.sources = this.sources.filter((s) => s !== source);
		};
	}
}

export const actions = new Actions();
