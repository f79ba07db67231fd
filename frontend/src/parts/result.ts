import type { RequestRow } from "../api/types";
import { known, t } from "../i18n/index.svelte";
import type { Glyph } from "../ui/tones";

/** How a request ended: the glyph and its word. That an app hung up is nobody's fault. */
export function result(r: Pick<RequestRow, "state">): { glyph: Glyph; word: string } {
	switch (r.state) {
		case "running":
			return { glyph: "running", word: t("req.running") };
		case "hung_up":
			return { glyph: "hungup", word: t("req.hungUpShort") };
		case "failed":
			return { glyph: "stop", word: t("req.failed") };
		case "ok":
			return { glyph: "ready", word: t("req.answeredShort") };
	}
}

/** The kind of an error in a few words; its message says the rest. */
export function kindWords(kind: string | undefined): string {
	const key = `kind.${kind ?? ""}`;
	return known(key) ? t(key) : (kind ?? "").replaceAll("_", " ");
}
