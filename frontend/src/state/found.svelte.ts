import { get, post } from "../api/client";
import type { Account, CredentialFile, List } from "../api/types";
import { accounts } from "./accounts.svelte";
import { Resource } from "./resource.svelte";

/** Logins that other programs keep in files of this computer. */
export const found = new Resource<List<CredentialFile>>({
	load: (signal) => get<List<CredentialFile>>("/api/credential-files", { signal }),
	topics: ["files", "account"],
	pace: 1000,
});

/** Follows a file from now on. It is read, never written. */
export async function borrow(id: string): Promise<Account> {
	const account = await post<Account>(`/api/credential-files/${id}/borrow`, {});
	await Promise.all([found.reload(), accounts.reload()]);
	return account;
}
