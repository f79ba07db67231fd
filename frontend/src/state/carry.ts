import { base64 } from "../api/base64";
import { get, post } from "../api/client";
import type { CarryReport, Exported, Status, Ticket, VaultMoved } from "../api/types.gen";
import { changeSettings, settings, vault } from "./settings.svelte";

/** Everything as a file that only the passphrase opens. */
export async function backUp(passphrase: string): Promise<{ file: Blob; report: CarryReport }> {
	const made = await post<Exported>("/api/export", { passphrase });
	const bytes = Uint8Array.from(atob(made.data), (c) => c.charCodeAt(0));
	return { file: new Blob([bytes], { type: "application/octet-stream" }), report: made.report };
}

/** Takes in what such a file holds. */
export async function restore(file: File, passphrase: string, replace: boolean): Promise<CarryReport> {
	const data = base64(new Uint8Array(await file.arrayBuffer()));
	return await post<CarryReport>("/api/restore", { passphrase, data, replace });
}

export async function moveVault(to: string): Promise<VaultMoved> {
	const moved = await post<VaultMoved>("/api/vault/move", { to });
	await vault.reload();
	return moved;
}

const tries = 30;
const pauseMS = 100;

/**
 * Moves Patchbay to another address and this page after it. The new address is another origin, so the page goes there by a
 * link of its own. False: the address could not be had, and everything stayed as it was.
 */
export async function moveTo(listen: string, back: Record<string, unknown>): Promise<boolean> {
	const was = (await get<Status>("/api/status")).base;
	const ticket = await post<Ticket>("/api/ui/ticket");
	await changeSettings({ "server.listen": listen });
	for (let i = 0; i < tries; i++) {
		await new Promise((resolve) => setTimeout(resolve, pauseMS));
		const base = await get<Status>("/api/status").then(
			(s) => s.base,
			() => "http://" + listen, // the old address answers no more
		);
		if (!base || base === was) continue;
		const link = new URL(ticket.url);
		location.assign(base + link.pathname + link.hash);
		return true;
	}
	await changeSettings(back);
	await settings.reload();
	return false;
}
