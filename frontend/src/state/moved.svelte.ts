import { post } from "../api/client";
import { feed } from "../api/feed.svelte";
import type { Ticket } from "../api/types.gen";

const waitMS = 3000;

/**
 * Where Patchbay answers since it moved to another address while this page was open. The page of the old address goes on
 * living for as long as its connections do, so it can still ask for a link of its own to the new one.
 */
class Moved {
	/** the new address, "" while this page stands on the right one */
	to = $state("");

	/** Listens for a move. Returns how to stop. */
	follow(): () => void {
		return feed.follow(
			(hints) => {
				for (const hint of hints) {
					if (hint.topic === "notice" && hint.id === "address" && typeof hint.data === "string") this.to = hereOf(hint.data);
				}
			},
			() => undefined, // after a gap the old address answers, so it is the right one
		);
	}

	/** Takes this page to the new address: signed in where a connection is left, else the door there says how to get in. */
	async go(): Promise<void> {
		const next = new URL("/ui/", this.to);
		try {
			const { url } = await post<Ticket>("/api/ui/ticket", undefined, { signal: AbortSignal.timeout(waitMS) });
			next.hash = new URL(url).hash;
		} catch {
			// no connection is left
		}
		location.assign(next);
	}
}

/** The new address as this page reaches it: by the name or the address of the network that it was opened with. */
function hereOf(base: string): string {
	const to = new URL(base);
	if (to.origin === location.origin) return "";
	const here = new URL(location.origin);
	const near = /^(127\.|localhost$|\[::1\]$)/;
	if (!near.test(here.hostname) || here.hostname === "localhost") to.hostname = here.hostname;
	return to.origin;
}

export const moved = new Moved();
