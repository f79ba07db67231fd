/** What the API says went wrong. The message is written for people and goes on screen as it is. */
export class ApiError extends Error {
	constructor(
		readonly kind: string,
		message: string,
		/** the field that the message is about, "" for none */
		readonly param = "",
		/** the HTTP status, 0 when no answer came */
		readonly status = 0,
	) {
		super(message);
		this.name = "ApiError";
	}

	/** Patchbay could not be reached; the feed tries again by itself. */
	get lost(): boolean {
		return this.status === 0;
	}

	/** What a person can paste into a report. */
	get details(): string {
		return JSON.stringify({ kind: this.kind, message: this.message, param: this.param || undefined, status: this.status }, null, 2);
	}
}

/** Makes an ApiError of anything that was thrown. */
export function asError(thrown: unknown): ApiError {
	if (thrown instanceof ApiError) return thrown;
	return new ApiError("internal", thrown instanceof Error ? thrown.message : String(thrown));
}
