/** Waits that double from first to longest, each shortened by up to a third at random so that pages do not try in step. */
export class Backoff {
	#wait: number;

	constructor(
		private readonly first: number,
		private readonly longest: number,
		private readonly random: () => number = Math.random,
	) {
		this.#wait = first;
	}

	next(): number {
		const wait = this.#wait;
		this.#wait = Math.min(this.longest, wait * 2);
		return Math.round(wait * (1 - this.random() / 3));
	}

	reset(): void {
		this.#wait = this.first;
	}
}
