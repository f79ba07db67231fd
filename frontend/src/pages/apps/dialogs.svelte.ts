import type { Key } from "../../api/types";

/** What can be asked of a key in a dialog. */
export type Asked = { kind: "rename" | "limits" | "revoke" | "remove"; key: Key };

class Dialogs {
	asked = $state.raw<Asked | undefined>();

	open(asked: Asked): void {
		this.asked = asked;
	}

	close(): void {
		this.asked = undefined;
	}
}

export const dialogs = new Dialogs();
