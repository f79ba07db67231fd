import { t } from "../../i18n/index.svelte";
import { kindWords } from "../../parts/result";
import { accounts } from "../../state/accounts.svelte";
import type { RequestFilter } from "../../state/activity.svelte";
import { keys } from "../../state/keys.svelte";
import { providerName } from "../../state/providers.svelte";

/** The lengths of time that one can look back, in ms. */
export const spans = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000 } as const;
export type Span = keyof typeof spans;

/** The kinds of errors that one can look for, the frequent ones first. */
export const kinds = [
	"no_account",
	"rate_limited",
	"quota_exhausted",
	"upstream_error",
	"overloaded",
	"timeout",
	"transport",
	"truncated",
	"auth_expired",
	"account_blocked",
	"model_not_found",
	"context_too_long",
	"invalid_request",
	"content_filtered",
	"policy_refused",
	"client_limited",
	"client_forbidden",
] as const;

/** What the address says about the list, as the query names it. */
export const filterNames = ["q", "failed", "retried", "app", "provider", "account", "model", "kind", "status", "span"] as const;
export type FilterName = (typeof filterNames)[number];

/** What to ask the log for. */
export function filterOf(query: URLSearchParams, now = Date.now()): RequestFilter {
	const value = (name: FilterName) => query.get(name) ?? "";
	const span = spans[value("span") as Span] as number | undefined;
	return {
		q: value("q"),
		failed: value("failed") === "1",
		retried: value("retried") === "1",
		key: value("app"),
		provider: value("provider"),
		account: value("account"),
		model: value("model"),
		kind: value("kind"),
		status: value("status"),
		since: span ? new Date(now - span).toISOString() : "",
	};
}

export interface ActiveFilter {
	name: FilterName;
	/** its name and value, for people */
	text: string;
}

/** The filters that are on, but for search and the three that stand beside it. */
export function activeFilters(query: URLSearchParams): ActiveFilter[] {
	const out: ActiveFilter[] = [];
	for (const name of ["app", "provider", "account", "model", "kind", "status", "span"] as const) {
		const value = query.get(name);
		if (value) out.push({ name, text: t("activity.filterIs", { name: t(`activity.by_${name}`), value: valueWords(name, value) }) });
	}
	return out;
}

function valueWords(name: FilterName, value: string): string {
	switch (name) {
		case "app":
			return keys.value?.items.find((k) => k.id === value)?.name ?? value;
		case "provider":
			return providerName(value);
		case "account":
			return accounts.value?.items.find((a) => a.id === value)?.name ?? value;
		case "kind":
			return kindWords(value);
		case "span":
			return value in spans ? t(`activity.span_${value as Span}`) : value;
		default:
			return value;
	}
}

/** Everything that narrows the list, in words; "" when nothing does. */
export function filterWords(query: URLSearchParams): string {
	const words = activeFilters(query).map((f) => f.text);
	if (query.get("failed") === "1") words.unshift(t("activity.failed"));
	if (query.get("retried") === "1") words.unshift(t("activity.retried"));
	const q = query.get("q");
	if (q) words.unshift(q);
	return words.join(", ");
}
