import type { Key } from "../../api/types";
import { listed, short, when } from "../../i18n/format.svelte";
import { t } from "../../i18n/index.svelte";
import { protocolName } from "../../parts/trace";

/** What a key may do, a few words for each limit; none for a key without limits. */
export function limitWords(key: Key, names: { provider: (id: string) => string; account: (id: string) => string }): string[] {
	const l = key.limits ?? {};
	const out: string[] = [];
	if (l.per_minute) out.push(t("apps.limitMinute", { n: l.per_minute }));
	if (l.tokens_per_day) out.push(t("apps.limitTokens", { n: short(l.tokens_per_day), used: short(key.used?.tokens_today ?? 0) }));
	if (l.concurrent) out.push(t("apps.limitConcurrent", { n: l.concurrent }));
	if (l.models?.length) out.push(t("apps.limitModels", { models: listed(l.models) }));
	if (l.providers?.length) out.push(t("apps.limitProviders", { providers: listed(l.providers.map(names.provider)) }));
	if (l.protocols?.length) out.push(t("apps.limitProtocols", { protocols: listed(l.protocols.map(protocolName)) }));
	if (l.account) out.push(t("apps.limitAccount", { account: names.account(l.account) }));
	if (l.tags?.length) out.push(t("apps.limitTags", { tags: listed(l.tags) }));
	if (key.expires) out.push(t("apps.limitExpires", { time: when(key.expires) }));
	return out;
}

/** A key that works no more: revoked, or past its end. */
export function over(key: Key): boolean {
	return !!key.revoked || (!!key.expires && Date.parse(key.expires) < Date.now());
}

/** A list as people type it. */
export function typedList(text: string): string[] {
	return text.split(/[\s,，、]+/).map((s) => s.trim()).filter(Boolean);
}
