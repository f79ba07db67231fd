import { get, post, remove } from "../api/client";
import { asError } from "../api/errors";
import type { LoginView, NewLogin } from "../api/types.gen";

/** How a sign-in is asked for. */
export type Start = NewLogin & { mode?: "browser" | "paste" | "device" };

const path = (id: string, rest = "") => `/api/logins/${encodeURIComponent(id)}${rest}`;
const over = (l: LoginView) => l.state !== "waiting" && l.state !== "finishing";
const pauseMS = 1000; // between tries while Patchbay cannot be reached

/** One sign-in, followed to its end. */
export class SignIn {
	view = $state.raw<LoginView>();

	#abort = new AbortController();

	private constructor(view: LoginView) {
		this.view = view;
	}

	/** Begins one, and follows it until it is over or given up. */
	static async begin(start: Start): Promise<SignIn> {
		const one = new SignIn(await post<LoginView>("/api/logins", start));
		void one.#watch();
		return one;
	}

	/** Gives it what the browser ended on. A mistake is thrown, and it goes on. */
	async paste(text: string): Promise<void> {
		if (this.view) this.#take(await post<LoginView>(path(this.view.id, "/paste"), { text }));
	}

	/** Stops following, and ends it if it still waits for the person. A login that came back is saved all the same. */
	async giveUp(): Promise<void> {
		this.#abort.abort();
		const view = this.view;
		if (view?.state !== "waiting") return;
		try {
			await remove(path(view.id));
		} catch {
			// it ends by its time limit
		}
	}

	#take(next: LoginView): void {
		if (!this.view || next.seq >= this.view.seq) this.view = next;
	}

	async #watch(): Promise<void> {
		const { signal } = this.#abort;
		while (this.view && !over(this.view) && !signal.aborted) {
			try {
				// The answer comes with the next change, or after twenty seconds.
				this.#take(await get<LoginView>(path(this.view.id, `?seq=${this.view.seq}`), { signal }));
			} catch (thrown) {
				if (signal.aborted) return;
				const error = asError(thrown);
				if (!error.lost) {
					this.view = { ...this.view, state: "failed", outcome: error.kind, text: error.message };
					return;
				}
				await new Promise((resolve) => setTimeout(resolve, pauseMS));
			}
		}
	}
}
