import type { RequestRow } from "../api/types";
import { known, t } from "../i18n/index.svelte";
import type { Glyph } from "../ui/tones";

/** How a request ended: the glyph and its word. 499 is nobody's fault: the app hung up. */
export function result(r: Pick<RequestRow, "state" | "status" | "kind">): { glyph: Glyph; word: string } {
	const state = r.state ?? (r.status === 499 ? "hung_up" : r.kind || r.status >= 400 ? "failed" : "ok");
	if (state === "running") return { glyph: "running", word: t("req.running") };
	if (state === "hung_up") return { glyph: "hungup", word: t("req.hungUpShort") };
	if (state === "failed") return { glyph: "stop", word: t("req.failed") };
	return { glyph: "ready", word: t("req.answeredShort") };
}

/** The kind of an error in a few words; its message says the rest. */
export function kindWords(kind: string | undefined): string {
	const key = `kind.${kind ?? ""}`;
	return known(key) ? t(key) : (kind ?? "").replaceAll("_", " ");
}
