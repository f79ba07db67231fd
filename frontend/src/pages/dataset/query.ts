import type { DatasetQuery } from "../../api/types";

/** What the address says about the data set. Redaction is on unless it is taken away. */
export const names = ["format", "from", "to", "provider", "account", "model", "app", "failed", "turns", "emails", "phones", "paths"] as const;
export type Name = (typeof names)[number];

function day(text: string | null, days = 0): string | undefined {
	if (!text) return undefined;
	const at = new Date(text + "T00:00:00");
	if (Number.isNaN(at.getTime())) return undefined;
	at.setDate(at.getDate() + days);
	return at.toISOString();
}

export function queryOf(q: URLSearchParams): DatasetQuery {
	const text = (name: Name) => q.get(name) || undefined;
	return {
		format: q.get("format") === "raw" ? "raw" : "chat",
		since: day(q.get("from")),
		until: day(q.get("to"), 1), // the last day is whole
		provider: text("provider"),
		account: text("account"),
		model: text("model"),
		key: text("app"),
		success_only: q.get("failed") !== "1",
		min_turns: Math.max(0, Number.parseInt(q.get("turns") ?? "", 10) || 0) || undefined,
		redact_emails: q.get("emails") !== "0",
		redact_phones: q.get("phones") !== "0",
		redact_paths: q.get("paths") !== "0",
	};
}

/** Whether anything narrows what goes in. */
export function narrowed(q: URLSearchParams): boolean {
	return (["from", "to", "provider", "account", "model", "app", "turns"] as const).some((n) => q.get(n));
}
