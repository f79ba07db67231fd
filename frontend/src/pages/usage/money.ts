import { number } from "../../i18n/format.svelte";

/** An amount: cents, or what small amounts come to. */
export function money(amount: number, currency = "USD"): string {
	const small = amount > 0 && amount < 0.1;
	return number(amount, { style: "currency", currency, currencyDisplay: "narrowSymbol", ...(small ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 }) });
}
