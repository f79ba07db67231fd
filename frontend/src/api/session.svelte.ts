import { ApiError } from "./errors";
import type { SessionState } from "./types.gen";

const storageKey = "patchbay.session";

/**
 * Who this page is to the API. A one-time ticket stands in the address once, in the part that no server sees; it is
 * traded for a token that lives as long as this tab. No cookie: one for 127.0.0.1 would go to every port of it.
 */
class Session {
	token = $state(read());
	/** "opening" until a ticket is traded, "closed" when there is neither token nor ticket */
	state = $state<"opening" | "open" | "closed">("opening");
	/** why it is closed, "" when nothing was tried */
	problem = $state("");
	/** a password opens it too */
	password = $state(false);

	/** The API no longer takes the token. */
	refuse(): void {
		this.token = "";
		write("");
		this.state = "closed";
		void this.look();
	}

	/** Asks how this page stands; a token that is over is given up. Nothing happens while Patchbay does not answer. */
	async look(): Promise<void> {
		try {
			const headers: Record<string, string> = this.token ? { Authorization: `Bearer ${this.token}` } : {};
			const response = await fetch(`${location.origin}/api/ui/session`, { headers, cache: "no-store" });
			if (!response.ok) return;
			const answer = (await response.json()) as SessionState;
			this.password = answer.password;
			if (this.token && !answer.signed_in) this.refuse();
		} catch {
			// it is gone: the feed tries again
		}
	}

	async trade(body: { ticket: string } | { password: string }): Promise<void> {
		const response = await fetch(`${location.origin}/api/ui/session`, {
			method: "POST",
			headers: { "Content-Type": "application/json" },
			body: JSON.stringify(body),
		});
		const answer = (await response.json()) as { token?: string; error?: { kind: string; message: string; param?: string } };
		if (!response.ok || !answer.token) {
			throw new ApiError(answer.error?.kind ?? "internal", answer.error?.message ?? response.statusText, answer.error?.param ?? "", response.status);
		}
		this.token = answer.token;
		write(answer.token);
		this.problem = "";
		this.state = "open";
	}
}

export const session = new Session();

/** Takes the ticket out of the address, if there is one, and opens the session. */
export function startSession(): void {
	addEventListener("hashchange", () => void takeTicket()); // a fresh link that is opened in the tab that is here
	if (takeTicket()) return;
	session.state = session.token ? "open" : "closed";
	if (!session.token) void session.look();
}

function takeTicket(): boolean {
	const ticket = /^#t=([\w-]+)(#\/.*)?$/.exec(location.hash); // the window is opened at a place of the page
	if (!ticket) return false;
	history.replaceState(null, "", location.pathname + location.search + (ticket[2] ?? "#/"));
	session.trade({ ticket: ticket[1] ?? "" }).catch((e: unknown) => {
		if (session.token) {
			session.state = "open"; // a used ticket in a tab that is in already, as after "duplicate tab"
			return;
		}
		session.problem = e instanceof Error ? e.message : String(e);
		session.state = "closed";
		void session.look();
	});
	return true;
}

function read(): string {
	try {
		return sessionStorage.getItem(storageKey) ?? "";
	} catch {
		return ""; // storage is switched off: the token lives in memory only
	}
}

function write(token: string): void {
	try {
		if (token) sessionStorage.setItem(storageKey, token);
		else sessionStorage.removeItem(storageKey);
	} catch {
		// as above
	}
}
