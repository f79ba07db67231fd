import type { CredentialFile } from "../../api/types";
import { t } from "../../i18n/index.svelte";
import type { Words } from "../../parts/state";

export type Show = "all" | "found" | "used" | "trouble";

/** The filter that a file belongs to. */
export function kindOf(f: CredentialFile): Exclude<Show, "all"> | "other" {
	switch (f.state) {
		case "found":
			return "found";
		case "borrowed":
		case "signed_in":
			return "used";
		case "changed":
		case "unreadable":
		case "gone":
			return "trouble";
		default:
			return "other";
	}
}

/** The state of a file in words. */
export function fileWords(f: CredentialFile): Words {
	const detail = f.note || undefined;
	const withDetail = (words: Words): Words => (detail ? { ...words, detail } : words);
	switch (f.state) {
		case "found":
			if (f.status === "discontinued") return withDetail({ glyph: "ended", word: t("state.endedPlain") });
			return withDetail({ glyph: "off", word: f.enabled ? t("files.found") : t("files.foundOff") });
		case "borrowed":
			return withDetail({ glyph: "ready", word: t("files.borrowed", { account: f.label ?? "" }) });
		case "signed_in":
			return withDetail({ glyph: "ready", word: t("files.signedIn", { account: f.label ?? "" }) });
		case "changed":
			return withDetail({ glyph: "act", word: t("files.changed", { account: f.label ?? "" }) });
		case "empty":
			return withDetail({ glyph: "off", word: t("files.empty") });
		case "unreadable":
			return withDetail({ glyph: "stop", word: t("files.unreadable") });
		case "gone":
			return withDetail({ glyph: "act", word: t("files.gone") });
		default:
			return withDetail({ glyph: "off", word: t("files.declined") });
	}
}
