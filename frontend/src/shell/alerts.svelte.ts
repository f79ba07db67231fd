import { asError } from "../api/errors";
import { post } from "../api/client";
import type { VaultView } from "../api/types.gen";
import { t } from "../i18n/index.svelte";
import { href } from "../router.svelte";
import { banners, type Banner, type bannerOrder } from "../state/banners.svelte";
import { goOn } from "../state/program";
import { moved } from "../state/moved.svelte";
import { addresses, settings, update, vault } from "../state/settings.svelte";
import { status } from "../state/status.svelte";
import { toasts } from "../ui/toasts.svelte";

/** What the banner slot tells of, but for a lost connection: the feed knows that one. */
function wanted(): Partial<Record<(typeof bannerOrder)[number], Banner>> {
	const out: ReturnType<typeof wanted> = {};
	const problem = settings.value?.problem;
	if (vault.value?.state === "locked") {
		out.vault = { glyph: "act", text: t("err.vault"), action: { label: "banner.unlock", run: unlock } };
	}
	if (problem) {
		const text = problem.line ? t("err.config", { n: problem.line, problem: problem.message }) : t("err.configPlain", { problem: problem.message });
		out.config = { glyph: "act", text, action: { label: "banner.look", run: () => undefined, href: href("/settings") } };
	}
	if (addresses.value?.lan) {
		out.network = { glyph: "off", text: t("err.network"), action: { label: "nav.settings", run: () => undefined, href: href("/settings/address") } };
	}
	if (status.value?.paused) {
		out.paused = { glyph: "off", text: t("err.paused"), action: { label: "act.goOn", run: goOn } };
	}
	const release = update.value?.available;
	if (release) {
		out.update = {
			glyph: "off",
			text: t("err.update", { version: release.version }),
			action: { label: "banner.look", run: () => undefined, href: href("/settings/updates") },
		};
	}
	return out;
}

async function unlock(): Promise<void> {
	try {
		vault.set(await post<VaultView>("/api/vault/unlock"));
	} catch (thrown) {
		toasts.show(asError(thrown).message, { bad: true });
	}
}

/** Keeps the banners as things are. It is called once, by the frame. */
export function followAlerts(): void {
	$effect(() => {
		const stop = [settings, vault, addresses, update].map((r) => r.follow());
		stop.push(moved.follow());
		return () => stop.forEach((f) => f());
	});
	$effect(() => {
		const now = wanted();
		for (const kind of ["vault", "config", "network", "paused", "update"] as const) banners.set(kind, now[kind]);
	});
}
