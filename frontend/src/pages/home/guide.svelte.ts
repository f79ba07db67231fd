import { accounts } from "../../state/accounts.svelte";
import { keys } from "../../state/keys.svelte";
import { latest } from "../../state/latest.svelte";

const closedKey = "patchbay.guide";
const fileKey = "patchbay.guide.file";
const connectedKey = "patchbay.guide.connected";

/** Whether the first-run list is in place of Home. */
class Guide {
	#closed = $state(stored(closedKey));
	#connected = $state(stored(connectedKey));
	#fileKept = $state(stored(fileKey));
	/** a key is being checked: its account is here, but may go again */
	checking = $state(false);
	/** the key that was made here, until the page is closed: it is shown once */
	made = $state.raw<{ name: string; text: string } | undefined>();

	/** Without an account there is nothing else to show; with one, until the first answer or until it is closed. */
	get open(): boolean {
		const list = accounts.value?.items;
		if (!list) return false;
		if (list.length === 0) return true;
		return !this.#closed && latest.value !== undefined && (!this.answered || this.#running);
	}

	/** The first answer came while the list was open: it stays until the person goes on. */
	#running = $state(false);

	/** Called while the list is on screen. */
	stay(): void {
		this.#running = true;
	}

	get answered(): boolean {
		return (latest.value?.items ?? []).some((r) => r.state === "ok");
	}

	/** An app has what it needs: an address and a key were copied, or a key was used. */
	get connected(): boolean {
		return this.#connected || (keys.value?.items ?? []).some((k) => (k.used?.requests_today ?? 0) > 0);
	}

	/** The person knows that the key of the logins is in a file, and leaves it there. */
	get fileKept(): boolean {
		return this.#fileKept;
	}

	keepFile(): void {
		this.#fileKept = true;
		store(fileKey);
	}

	connect(): void {
		this.#connected = true;
		store(connectedKey);
	}

	close(): void {
		this.#closed = true;
		store(closedKey);
	}
}

function stored(key: string): boolean {
	try {
		return localStorage.getItem(key) === "yes";
	} catch {
		return false;
	}
}

function store(key: string): void {
	try {
		localStorage.setItem(key, "yes");
	} catch {
		// storage is switched off: it holds until the page is closed
	}
}

export const guide = new Guide();
