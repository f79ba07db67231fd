import type common from "./en/common.json";
import type home from "./en/home.json";
import type accounts from "./en/accounts.json";
import type files from "./en/files.json";
import type signin from "./en/signin.json";
import type routing from "./en/routing.json";
import type apps from "./en/apps.json";
import type activity from "./en/activity.json";
import type usage from "./en/usage.json";
import type settings from "./en/settings.json";
import type doctor from "./en/doctor.json";
import type help from "./en/help.json";
import type dataset from "./en/dataset.json";
import type playground from "./en/playground.json";

type Texts = typeof common &
	typeof home &
	typeof accounts &
	typeof files &
	typeof signin &
	typeof routing &
	typeof apps &
	typeof activity &
	typeof usage &
	typeof settings &
	typeof doctor &
	typeof help &
	typeof dataset &
	typeof playground;

/** The name of a sentence. English says which there are; a test holds the other languages to it. */
export type Key = keyof Texts & string;
