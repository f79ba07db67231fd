import { asError, type ApiError } from "../../api/errors";
import { t } from "../../i18n/index.svelte";
import { before, changeSettings, type Setting } from "../../state/settings.svelte";
import { toasts } from "../../ui/toasts.svelte";

/** Sets settings, says so with a way back, and gives back why they were refused. */
export async function save(items: readonly Setting[], values: Record<string, unknown>, said: string): Promise<ApiError | undefined> {
	const back = before(items, Object.keys(values));
	try {
		await changeSettings(values);
	} catch (thrown) {
		return asError(thrown);
	}
	toasts.show(said, back && { undo: () => void changeSettings(back).catch((thrown: unknown) => toasts.show(asError(thrown).message, { bad: true })) });
	return undefined;
}

/** The same, for a dialog that shows the error itself. */
export async function saveOrThrow(items: readonly Setting[], values: Record<string, unknown>): Promise<void> {
	const refused = await save(items, values, t("settings.saved"));
	if (refused) throw refused;
}
