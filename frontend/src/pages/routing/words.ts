import type { ChainStep } from "../../api/types";
import { listed, short, when } from "../../i18n/format.svelte";
import { t } from "../../i18n/index.svelte";
import type { Words } from "../../parts/state";

/** How the accounts of a step are. */
export function stepState(step: ChainStep): Words {
	switch (step.state) {
		case "ready":
			return { glyph: "ready", word: t("accounts.ofReady", { n: step.ready, m: step.accounts }) };
		case "resting":
			return { glyph: "rest", word: step.until ? t("state.restUntil", { time: when(step.until) }) : t("accounts.ofReady", { n: 0, m: step.accounts }) };
		case "needs_you":
			return { glyph: "act", word: t("routing.needsYou") };
		case "off":
			return { glyph: "off", word: t("state.off") };
		case "no_account":
			return { glyph: "off", word: t("routing.noAccount") };
		default:
			return { glyph: "stop", word: step.problem ?? t("routing.unknownStep") };
	}
}

/** What a step can do, as far as it is known: "tools, images · 200 K context". */
export function stepCan(step: ChainStep): string {
	const can: string[] = [];
	if (step.can.tools === "yes") can.push(t("routing.canTools"));
	if (step.can.images === "yes") can.push(t("routing.canImages"));
	if (step.can.documents === "yes") can.push(t("routing.canDocuments"));
	if (step.can.thinking === "yes") can.push(t("routing.canThinking"));
	return [can.length ? listed(can) : "", step.can.context ? t("routing.context", { n: short(step.can.context) }) : ""].filter(Boolean).join(" · ");
}

/** The name of what has a chain: a provider, or one of its models. */
export function startName(of: string, provider: (id: string) => string): string {
	const [id = "", ...model] = of.split("/");
	return model.length ? `${provider(id)}: ${model.join("/")}` : provider(id);
}
