import type { Usage } from "../../api/types";
import { percent, short } from "../../i18n/format.svelte";
import { t } from "../../i18n/index.svelte";

/** Today's line: requests, failures, and tokens where services told any. */
export function todayWords(usage: Usage): string {
	const { requests, errors, tokens } = usage.total;
	const out = [t("home.today", { n: requests, f: errors })];
	if (tokens.input > 0) {
		const n = short(tokens.input);
		const cached = Math.max(0, tokens.cached) / tokens.input;
		out.push(cached >= 0.005 ? t("home.todayInCached", { tokens: n, p: percent(cached) }) : t("home.todayIn", { tokens: n }));
	}
	if (tokens.output > 0) out.push(t("home.todayOut", { tokens: short(tokens.output) }));
	return out.join(" · ");
}
