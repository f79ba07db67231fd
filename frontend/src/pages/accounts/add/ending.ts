import type { LoginView } from "../../../api/types.gen";
import { duration } from "../../../i18n/format.svelte";
import { t } from "../../../i18n/index.svelte";

/** How a sign-in that did not work is told: what happened in a sentence, in a few words, and what to do next. */
export function ending(view: LoginView, vendor: string, hasKey: boolean): { lead: string; what: string; next: string } {
	const tail = t("signin.nothingSaved");
	switch (view.outcome) {
		case "timeout": {
			const ms = Date.parse(view.expires ?? "") - Date.parse(view.started ?? "");
			if (view.kind === "device") return { lead: t("signin.codeRanOut"), what: t("signin.nothingCame"), next: tail };
			return { lead: t("signin.timeout", { vendor, time: ms > 0 ? duration(ms) : "" }), what: t("signin.nothingCame"), next: tail };
		}
		case "denied":
			return { lead: t("signin.denied", { vendor }), what: t("signin.accessDenied"), next: t(hasKey ? "signin.deniedNextKey" : "signin.deniedNext") };
		case "not_allowed":
			return { lead: t("signin.codeNotAllowed"), what: t("signin.codeRefused"), next: tail };
		case "proxy":
			return { lead: t("signin.proxyFailed"), what: t("kind.proxy"), next: tail };
		case "transport":
		case "timeout_error":
		case "upstream_5xx":
			return { lead: t("signin.unreachable", { vendor }), what: t("kind.transport"), next: tail };
		case "canceled":
			return { lead: t("signin.canceled"), what: t("signin.canceledShort"), next: tail };
		default:
			return { lead: t("signin.failed", { vendor }), what: t("signin.notSignedIn"), next: tail };
	}
}

/** auth.example.com of an address, "" for none. */
export function host(url: string | undefined): string {
	try {
		return new URL(url ?? "").host;
	} catch {
		return "";
	}
}

/** What of a pasted address is missing: the name of the part, or "" when it looks whole. It may also be a bare code. */
export function missingPart(text: string): string {
	const pasted = text.trim();
	if (!pasted.includes("://")) return "";
	let query: URLSearchParams;
	try {
		const url = new URL(pasted);
		query = new URLSearchParams(url.search + "&" + url.hash.replace(/^#/, ""));
	} catch {
		return "http://…";
	}
	if (query.get("error")) return "";
	if (!query.get("code")) return "code=…";
	if (!query.get("state")) return "state=…";
	return "";
}
