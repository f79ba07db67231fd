import type { Account, CoolDown } from "../api/types";
import { day, when } from "../i18n/format.svelte";
import { known, t } from "../i18n/index.svelte";
import type { Glyph } from "../ui/tones";

export interface Words {
	glyph: Glyph;
	word: string;
	detail?: string;
}

/** Why something rests, in words. An unknown reason is shown as it came. */
export function cause(reason: string | undefined): string {
	const key = `why.${reason ?? ""}`;
	return known(key) ? t(key) : (reason ?? "");
}

function pauses(a: Account): { whole: CoolDown | undefined; models: CoolDown[] } {
	const running = (a.cooling ?? []).filter((c) => Date.parse(c.until) > Date.now());
	return {
		whole: running.find((c) => !c.model),
		models: running.filter((c) => c.model).sort((x, y) => Date.parse(x.until) - Date.parse(y.until)),
	};
}

/** The state of an account in words. */
export function accountWords(a: Account): Words {
	const { whole, models } = pauses(a);
	if (a.locked && (a.state === "ready" || a.state === "cooling")) return { glyph: "act", word: t("state.locked") };
	switch (a.state) {
		case "cooling":
			if (whole) return { glyph: "rest", word: t("state.restUntil", { time: when(whole.until) }), detail: cause(whole.reason) };
			return { glyph: "ready", word: t("state.ready"), detail: restingModels(models) };
		case "needs_login":
			if (a.owner === "cli") return { glyph: "act", word: t("state.signInCli"), detail: a.next?.text ?? a.reason };
			return { glyph: "act", word: t("state.signIn"), detail: a.reason };
		case "needs_action":
			return { glyph: "act", word: t("state.oneStep"), detail: a.next?.text ?? a.reason };
		case "blocked":
			return { glyph: "stop", word: t("state.blocked"), detail: a.reason };
		case "disabled":
			return { glyph: "off", word: t("state.off"), detail: a.reason };
		case "discontinued":
			return { glyph: "ended", word: t("state.endedPlain"), detail: a.reason };
		default:
			if (whole) return { glyph: "rest", word: t("state.restUntil", { time: when(whole.until) }), detail: cause(whole.reason) };
			if (models.length) return { glyph: "ready", word: t("state.ready"), detail: restingModels(models) };
			return { glyph: "ready", word: t("state.ready"), detail: a.in_flight ? t("state.inFlight", { n: a.in_flight }) : "" };
	}
}

function restingModels(models: CoolDown[]): string {
	const [first] = models;
	if (!first) return "";
	const time = when(first.until);
	if (models.length === 1) return t("state.restModel", { model: first.model ?? "", time });
	return t("state.restModels", { n: models.length, time });
}

/** Until when the whole account rests, ms since 1970; 0 = it does not. */
export function restsUntil(a: Account): number {
	const { whole } = pauses(a);
	return whole ? Date.parse(whole.until) : 0;
}

/** Whether an app's next request could be answered by it. */
export function canAnswer(a: Account): boolean {
	return (a.state === "ready" || a.state === "cooling") && !a.locked && restsUntil(a) === 0;
}

/** The date of a risk label, as a chip says it. */
export function since(date: string | undefined): string {
	return date ? day(date + "T00:00:00") : "";
}
