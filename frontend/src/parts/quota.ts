import type { Quota } from "../api/types";
import { t } from "../i18n/index.svelte";

/** What services call their usual windows is long; a row has room for a word. */
export function windowName(quota: Pick<Quota, "name">): string {
	const hours = /^(\d+)-hour limit$/.exec(quota.name)?.[1];
	if (hours) return t("quota.hours", { n: Number(hours) });
	if (quota.name === "Weekly limit") return t("quota.week");
	if (/^Monthly (limit|allowance)( \(.+\))?$/.test(quota.name)) return t("quota.month");
	if (quota.name === "Credits left") return t("quota.credits");
	return quota.name;
}
