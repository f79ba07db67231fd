export interface Toast {
	id: number;
	text: string;
	/** takes back what the person just did */
	undo?: () => void;
	/** something went wrong with what the person just did */
	bad?: boolean;
}

const quietMS = 4000;
const undoMS = 10_000;

class Toasts {
	list = $state<Toast[]>([]);
	#next = 1;

	/** Confirms what the person just did. Nothing else belongs here. */
	show(text: string, options: { undo?: () => void; bad?: boolean } = {}): void {
		const id = this.#next++;
		this.list.push({ id, text, ...options });
		if (this.list.length > 3) this.list.shift();
		setTimeout(() => this.close(id), options.undo || options.bad ? undoMS : quietMS);
	}

	close(id: number): void {
		this.list = this.list.filter((t) => t.id !== id);
	}
}

export const toasts = new Toasts();
