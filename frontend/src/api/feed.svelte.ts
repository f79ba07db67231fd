import { Backoff } from "./backoff";
import { session } from "./session.svelte";

/** A hint that something changed. Who shows it asks the owner again, or takes data as the owner's own words. */
export interface Hint {
	seq: number;
	topic: Topic;
	/** what changed; none = several, or the topic as a whole */
	id?: string;
	data?: unknown;
}

export type Topic = string;

type Listener = (hints: Hint[]) => void;

/** After this long without a frame, where one was due each 250 ms, the computer slept or the tab was frozen. */
const sleepMS = 15_000;

/**
 * The one WebSocket. It hands hints on once per frame, however many came, and says "again" when hints may be missing:
 * after a gap, a reconnect or a sleep.
 */
class Feed {
	/** the connection stands */
	connected = $state(false);
	/** it stood or was tried, and is gone: the page says so */
	lost = $state(false);
	/** when the next try begins, ms since 1970; 0 = now or never */
	nextTry = $state(0);

	#socket: WebSocket | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#backoff = new Backoff(400, 8000);
	#listeners = new Set<Listener>();
	#again = new Set<() => void>();
	#pending: Hint[] = [];
	#scheduled = false;
	#opened: (() => void)[] = [];
	#started = false;

	/** Starts following. It goes on for the life of the page. */
	start(): void {
		if (this.#started) {
			if (!this.connected && !this.#timer) this.#connect(); // the person is in again
			return;
		}
		this.#started = true;
		this.#connect();
		let last = Date.now();
		setInterval(() => {
			const now = Date.now();
			if (now - last > sleepMS) this.#reset(); // timers stood still
			last = now;
		}, 3000);
		addEventListener("online", () => this.tryNow());
		document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.tryNow());
		addEventListener("pagehide", () => this.#socket?.close());
		addEventListener("pageshow", (e) => e.persisted && this.#connect());
	}

	/** Waits until hints can no longer be missed, or a first try failed. Load after that. */
	async ready(): Promise<void> {
		if (this.connected || this.lost || !this.#started) return;
		await new Promise<void>((resolve) => this.#opened.push(resolve));
	}

	/** Calls listener with hints, in order, and again when some may be missing. Returns how to stop. */
	follow(listener: Listener, again: () => void): () => void {
		this.#listeners.add(listener);
		this.#again.add(again);
		return () => {
			this.#listeners.delete(listener);
			this.#again.delete(again);
		};
	}

	/** Does not wait for the next try. */
	tryNow(): void {
		if (this.connected || !this.#timer) return;
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#connect();
	}

	#connect(): void {
		this.#timer = undefined;
		this.nextTry = 0;
		const url = new URL("/api/feed", location.href);
		url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
		const socket = new WebSocket(url, ["patchbay.v1", `bearer.${session.token}`]);
		this.#socket = socket;
		socket.onopen = () => {
			const reconnected = this.lost;
			this.connected = true;
			this.lost = false;
			this.#backoff.reset();
			this.#release();
			if (reconnected) this.#reset();
		};
		socket.onmessage = (e) => this.#receive(String(e.data));
		socket.onclose = () => {
			if (this.#socket !== socket) return;
			this.connected = false;
			this.lost = true;
			this.#release();
			void session.look(); // a refused token looks the same from here
			if (session.state !== "open") return; // the page shows how to get in again
			const wait = this.#backoff.next();
			this.nextTry = Date.now() + wait;
			this.#timer = setTimeout(() => this.#connect(), wait);
		};
	}

	#release(): void {
		for (const resolve of this.#opened.splice(0)) resolve();
	}

	#receive(text: string): void {
		for (const hint of (JSON.parse(text) as { hints: Hint[] }).hints) {
			if (hint.topic === "hello") continue; // the number to begin from; who loads now gets it too
			if (hint.topic === "gap") {
				this.#reset();
				return;
			}
			this.#pending.push(hint);
		}
		if (this.#scheduled || this.#pending.length === 0) return;
		this.#scheduled = true;
		const flush = () => this.#flush();
		// A hidden tab gets no frames.
		if (document.visibilityState === "visible") requestAnimationFrame(flush);
		else setTimeout(flush, 250);
	}

	#flush(): void {
		this.#scheduled = false;
		const hints = this.#pending;
		this.#pending = [];
		for (const listener of this.#listeners) listener(hints);
	}

	#reset(): void {
		this.#pending = []; // what is loaded again holds them
		for (const again of this.#again) again();
	}
}

export const feed = new Feed();
