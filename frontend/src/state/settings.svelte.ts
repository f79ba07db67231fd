import { get, patch, post, put, remove } from "../api/client";
import type { AddressesView, DesktopView, PromptPreview, PromptSample, RecordView, SessionState, SettingView, SettingsView, UpdateView, VaultView } from "../api/types.gen";
import { Resource } from "./resource.svelte";

export type Setting = SettingView;
export type Settings = SettingsView;

/** Every setting, as it is in force. */
export const settings = new Resource<SettingsView>({
	load: (signal) => get<SettingsView>("/api/settings", { signal }),
	topics: ["config"],
});

/** The settings of one provider, set or not. */
export function providerSettings(id: string): Resource<SettingsView> {
	return new Resource<SettingsView>({
		load: (signal) => get<SettingsView>(`/api/settings?provider=${encodeURIComponent(id)}`, { signal }),
		topics: ["config"],
	});
}

/** Sets settings, all or none; null lets the default count again. */
export async function changeSettings(values: Record<string, unknown>): Promise<void> {
	settings.set(await patch<SettingsView>("/api/settings", values));
}

/** The setting of a key, if it is there. */
export function setting(key: string): Setting | undefined {
	return settings.value?.items.find((s) => s.key === key);
}

/** What has to be set to have things as they are now. Undefined when a part of it is not shown to anybody. */
export function before(items: readonly Setting[], keys: readonly string[]): Record<string, unknown> | undefined {
	const out: Record<string, unknown> = {};
	for (const key of keys) {
		const item = items.find((s) => s.key === key);
		out[key] = item?.source === "file" ? item.value : null;
		if (JSON.stringify(out[key]).includes("[secret]")) return undefined;
	}
	return out;
}

export const addresses = new Resource<AddressesView>({
	load: (signal) => get<AddressesView>("/api/addresses", { signal }),
	topics: ["config", "notice"],
});

/** What the request list takes. */
export const recorded = new Resource<RecordView>({
	load: (signal) => get<RecordView>("/api/record", { signal }),
	topics: ["config"],
});

export const vault = new Resource<VaultView>({ load: (signal) => get<VaultView>("/api/vault", { signal }), topics: ["notice", "config"] });
export const desktop = new Resource<DesktopView>({ load: (signal) => get<DesktopView>("/api/desktop", { signal }), topics: ["config"] });
export const update = new Resource<UpdateView>({ load: (signal) => get<UpdateView>("/api/update", { signal }), topics: ["notice", "config"] });
export const door = new Resource<SessionState>({ load: (signal) => get<SessionState>("/api/ui/session", { signal }), topics: [] });

/** Asks the publisher for newer versions now. */
export async function checkUpdate(): Promise<UpdateView> {
	const found = await post<UpdateView>("/api/update/check");
	update.set(found);
	return found;
}

export async function setStartAtLogin(on: boolean): Promise<void> {
	desktop.set(await put<DesktopView>("/api/desktop/start-at-login", { on }));
}

/** Ends Patchbay, as the tray does where there is one. */
export async function quitPatchbay(): Promise<void> {
	await post("/api/quit");
}

/** Sets the password that opens the page from elsewhere; "" removes it. */
export async function setPassword(password: string): Promise<void> {
	if (password) await put("/api/ui/password", { password });
	else await remove("/api/ui/password");
	await door.reload();
}

export interface ProxyTest {
	ok: boolean;
	latency_ms?: number;
	message?: string;
}

/** Tries a proxy: an address, "system", "direct", or "" for the one in force. */
export function testProxy(proxy: string): Promise<ProxyTest> {
	return post<ProxyTest>("/api/proxy/test", proxy ? { proxy } : {});
}

/** Puts the rules for system text in order. */
export async function orderRules(names: string[]): Promise<void> {
	await post("/api/prompts/order", { names });
	await settings.reload();
}

/** What becomes of a system text, perhaps with a rule that is not saved yet. Nothing is sent. */
export function previewRule(sample: PromptSample): Promise<PromptPreview> {
	return post<PromptPreview>("/api/prompts/preview", sample);
}
