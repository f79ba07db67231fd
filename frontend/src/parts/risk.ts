import type { Provider } from "../api/types";
import { t } from "../i18n/index.svelte";
import { since } from "./state";

/** What the risk label of a provider says in a few words with its date; "" when there is nothing to say. */
export function riskChip(provider: { risk?: Provider["risk"]; status: string } | undefined): string {
	if (!provider?.risk) return "";
	const date = since(provider.risk.since);
	if (provider.status === "discontinued") return t("risk.chipEnded", { date });
	if (provider.risk.level === "low") return "";
	return t(provider.risk.level === "forbidden" ? "risk.chip" : "risk.chipReported", { date });
}
