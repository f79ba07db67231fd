import type { RequestDetail } from "../../api/types";
import { duration } from "../../i18n/format.svelte";
import { t } from "../../i18n/index.svelte";
import { kindWords } from "../../parts/result";
import { providerName } from "../../state/providers.svelte";

/** "2nd try" and the like. */
export function tryWords(n: number): string {
	return n === 2 ? t("req.try2") : n === 3 ? t("req.try3") : t("req.tryN", { n });
}

/** Who asked, as people call it. */
export function appName(r: { key_name?: string }): string {
	return r.key_name || t("home.someApp");
}

/** What became of a request, as a sentence. */
export function outcome(r: RequestDetail): string {
	const provider = r.provider ? providerName(r.provider) : "";
	switch (r.state) {
		case "running":
			if (provider && r.first_ms >= 0) return t("outcome.answering", { provider });
			return provider ? t("outcome.waiting", { provider }) : t("outcome.choosing");
		case "ok":
			if (!provider) return t("req.answeredShort");
			return r.attempts > 1 ? t("outcome.answeredTry", { provider, try: tryWords(r.attempts) }) : t("outcome.answered", { provider });
		case "hung_up":
			return t("outcome.hungUp", { app: appName(r), time: duration(r.duration_ms) });
		case "failed":
			return failure(r, provider);
	}
}

function failure(r: RequestDetail, provider: string): string {
	const skipped = r.trace.filter((s) => s.what === "skipped" && (s.account || s.count));
	const asked = r.trace.some((s) => s.what === "tried");
	if (r.kind === "model_not_found" && !asked) return t("outcome.noModel", { model: r.asked });
	if (skipped.length > 0 && !asked) {
		const n = skipped.reduce((sum, s) => sum + (s.count || 1), 0);
		return skipped.every((s) => s.kind === "resting") ? t("outcome.allRest", { n }) : t("outcome.nobody", { n });
	}
	if (provider && asked) return t("outcome.failedAt", { provider, cause: kindWords(r.kind) });
	return t("outcome.failed", { cause: kindWords(r.kind) });
}

/** Whether the message of a failure says more than the way does: where nobody was asked, each stop says why. */
export function tellsMore(r: RequestDetail): boolean {
	return r.state === "failed" && !!r.message && (r.trace.some((s) => s.what === "tried") || !r.trace.some((s) => s.what === "skipped"));
}

export interface Span {
	part: "earlier" | "first" | "stream" | "wait";
	ms: number;
}

/** Where the time went: earlier tries, up to the first word, streaming. */
export function timeSpans(r: RequestDetail): Span[] {
	const total = r.duration_ms;
	if (total <= 0) return [];
	const tries = r.trace.filter((s) => s.what === "tried");
	const last = tries.at(-1);
	const answered = r.first_ms >= 0;
	const earlier = Math.min(total, last ? last.at_ms : 0);
	if (!answered) {
		const rest = total - earlier;
		return [{ part: "earlier", ms: earlier } as const, { part: "wait", ms: rest } as const].filter((s) => s.ms > 0);
	}
	const first = Math.min(total, Math.max(earlier, r.first_ms));
	return [
		{ part: "earlier", ms: earlier } as const,
		{ part: "first", ms: first - earlier } as const,
		{ part: "stream", ms: total - first } as const,
	].filter((s) => s.ms > 0);
}
