import { tick } from "svelte";

/** Where the page is: what stands behind the # of the address, so that Back works and a link can be passed on. */
class Router {
	/** "/activity/17" */
	path = $state("/");
	query = $state.raw(new URLSearchParams());

	/** The parts of the path: ["activity", "17"]. */
	get parts(): string[] {
		return this.path.split("/").filter(Boolean).map(decodeURIComponent);
	}

	start(): void {
		const read = () => {
			if (location.hash.startsWith("#t=")) return; // a ticket, for the session
			const [path = "", query = ""] = location.hash.slice(1).split(/\?(.*)/s);
			const next = path.startsWith("/") ? path : "/";
			const moved = next.split("/")[1] !== this.path.split("/")[1];
			this.path = next;
			this.query = new URLSearchParams(query);
			if (moved) void focusTitle();
		};
		addEventListener("hashchange", read);
		read();
	}

	/** Goes to a page: `go("/activity", { app: "cline" })`. */
	go(path: string, query?: Record<string, string | undefined>): void {
		location.hash = href(path, query).slice(1);
	}

	/** Changes what the address says about the state of this page; undefined or "" takes a value out. */
	setQuery(change: Record<string, string | undefined>, { push = false } = {}): void {
		const values = { ...Object.fromEntries(this.query), ...change };
		const to = href(this.path, values);
		if (to === location.hash) return;
		if (push) {
			location.hash = to.slice(1);
			return;
		}
		history.replaceState(null, "", to);
		this.query = new URLSearchParams(to.split("?")[1] ?? "");
	}
}

export const router = new Router();

/** A link to a page of Patchbay: `href("/activity/17")`. */
export function href(path: string, query: Record<string, string | undefined> = {}): string {
	const q = new URLSearchParams();
	for (const [name, value] of Object.entries(query)) if (value) q.set(name, value);
	const text = q.toString();
	return "#" + path + (text && "?" + text);
}

/** Puts the focus on the title of the page, where a screen reader goes on reading. */
export async function focusTitle(): Promise<void> {
	await tick();
	for (let i = 0; i < 20; i++) {
		const title = document.querySelector<HTMLElement>("main h1");
		if (title) {
			title.focus({ preventScroll: true });
			document.querySelector("main")?.scrollTo(0, 0);
			return;
		}
		await new Promise((resolve) => requestAnimationFrame(resolve)); // the page's chunk is on its way
	}
}
