import { asError } from "../../api/errors";
import { toasts } from "../../ui/toasts.svelte";

/** What can be asked of the routing in a dialog. */
export type Asked =
	| { kind: "step"; of: string; steps: string[]; at: number }
	| { kind: "chain" }
	| { kind: "alias"; name: string; target: string; provider: string }
	| { kind: "fallback"; model: string; targets: string[] }
	| { kind: "thinking"; provider: string; normal: string; max: string };

/** Changes to the routing: each is saved at once, and can be taken back for a while. */
class Edit {
	asked = $state.raw<Asked | undefined>();
	/** what just happened, for screen readers */
	said = $state("");

	open(asked: Asked): void {
		this.asked = asked;
	}

	close(): void {
		this.asked = undefined;
	}

	/** Does it and offers to take it back. A refusal is thrown, for the dialog that asked. */
	async save(run: () => Promise<unknown>, text: string, undo: () => Promise<unknown>): Promise<void> {
		await run();
		this.said = text;
		toasts.show(text, { undo: () => void this.attempt(undo) });
	}

	/** The same for what has no dialog: a refusal is told in a toast. */
	async saveNow(run: () => Promise<unknown>, text: string, undo: () => Promise<unknown>): Promise<void> {
		await this.attempt(() => this.save(run, text, undo));
	}

	async attempt(run: () => Promise<unknown>): Promise<void> {
		try {
			await run();
		} catch (thrown) {
			toasts.show(asError(thrown).message, { bad: true });
		}
	}
}

export const edit = new Edit();
