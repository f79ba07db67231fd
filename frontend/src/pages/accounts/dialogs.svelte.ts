import type { Account } from "../../api/types";
import type { Group } from "./list";

/** What can be asked of an account or a pool in a dialog. */
export type Asked =
	| { kind: "rename" | "order" | "proxy" | "models" | "remove" | "useNow" | "key" | "tryOut"; account: Account }
	| { kind: "pool" | "poolOff" | "risk"; group: Group };

class Dialogs {
	asked = $state.raw<Asked | undefined>();
	/** what just happened, for screen readers */
	said = $state("");

	open(asked: Asked): void {
		this.asked = asked;
	}

	close(): void {
		this.asked = undefined;
	}
}

export const dialogs = new Dialogs();
