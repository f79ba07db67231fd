// What the API answers, as far as the page uses it. Written by hand where the generated types do not reach yet.

export interface Status {
	version: string;
	health: "ok" | "degraded" | "down";
	reasons?: string[];
	base?: string;
	pid?: number;
	started?: string;
	in_flight: number;
	default_provider?: string;
	config_path?: string;
	database_path?: string;
	log_dir?: string;
	paused?: boolean;
}

export type AccountState = "ready" | "cooling" | "needs_login" | "needs_action" | "blocked" | "disabled" | "discontinued";

export interface CoolDown {
	model?: string;
	reason?: string;
	until: string;
}

export interface NextStep {
	text: string;
	link?: string;
	command?: string;
}

export interface Account {
	id: string;
	provider: string;
	name: string;
	state: AccountState;
	reason?: string;
	enabled: boolean;
	priority: number;
	owner?: string;
	settings?: Record<string, string>;
	proxy?: string;
	max_concurrent?: number;
	in_flight: number;
	cooling?: CoolDown[];
	created?: string;
	login?: string;
	identity?: string;
	renews?: boolean;
	expires?: string;
	next?: NextStep;
	quota?: QuotaReading;
}

/** What a service said is left of an account's allowances. */
export interface QuotaReading {
	windows?: Quota[];
	taken_at?: string;
	stale?: boolean;
	note?: string;
	none?: boolean;
}

export interface Risk {
	level: string;
	text: string;
	since?: string;
}

export interface FieldInfo {
	key: string;
	label?: string;
	kind?: string;
	default?: string;
	options?: string[];
	required?: boolean;
	secret?: boolean;
}

export interface LoginOption {
	id: string;
	kind: "browser" | "device" | "key" | "file";
	label?: string;
	text?: string;
	fields?: FieldInfo[];
}

export interface Provider {
	id: string;
	name: string;
	kind: string;
	status: "active" | "licensed" | "experimental" | "discontinued";
	enabled: boolean;
	user_defined: boolean;
	preset?: string;
	default: boolean;
	base_url?: string;
	key_url?: string;
	key_env?: string[];
	no_key?: boolean;
	instead?: string;
	risk?: Risk;
	logins?: LoginOption[];
	models: number;
	accounts?: Record<string, number>;
}

export interface KeyLimits {
	models?: string[];
	providers?: string[];
	protocols?: string[];
	per_minute?: number;
	tokens_per_day?: number;
	concurrent?: number;
}

export interface Key {
	id: string;
	name: string;
	prefix: string;
	created?: string;
	expires?: string;
	revoked?: string;
	limits?: KeyLimits;
	used?: { in_flight?: number; minute?: number; requests_today?: number; tokens_today?: number };
}

export interface CreatedKey extends Key {
	key: string;
}

export interface Tokens {
	input: number;
	cached: number;
	cache_write: number;
	output: number;
	reasoning: number;
}

export interface RequestRow {
	id: string;
	at: string;
	state?: "running" | "ok" | "failed" | "hung_up";
	key?: string;
	key_name?: string;
	client: string;
	op?: string;
	stream: boolean;
	asked: string;
	provider?: string;
	account?: string;
	label?: string;
	model?: string;
	attempts: number;
	status: number;
	kind?: string;
	message?: string;
	tokens: Tokens;
	first_ms: number;
	duration_ms: number;
	dropped?: string[];
}

export interface UsageRow {
	provider?: string;
	account?: string;
	label?: string;
	model?: string;
	key?: string;
	key_name?: string;
	requests: number;
	errors: number;
	tokens: Tokens;
}

export interface Usage {
	rows: UsageRow[];
	total: UsageRow;
}

export interface Quota {
	name: string;
	unit: string;
	models?: string[];
	used: number;
	limit: number;
	resets_at?: number;
}

export interface Model {
	id: string;
	name?: string;
	provider?: string;
	context?: number;
	max_output?: number;
	assumed?: boolean;
	stale?: boolean;
}

export interface List<T> {
	items: T[];
}

export interface CredentialFile {
	id: string;
	provider: string;
	enabled: boolean;
	status: string;
	risk?: Risk;
	instead?: string;
	path: string;
	program?: string;
	state: string;
	note?: string;
	identity?: string;
	email?: string;
	plan?: string;
	expires?: string;
	over?: boolean;
	adoptable?: boolean;
	adoption?: string;
	modified?: string;
	account?: string;
	label?: string;
}

export interface Preset {
	id: string;
	name: string;
	kind: string;
	usable: boolean;
	base_url?: string;
	region?: string;
	group?: string;
	key_url?: string;
	no_key?: boolean;
	notes?: string;
	provider?: string;
}

export interface TestResult {
	ok: boolean;
	kind?: string;
	message?: string;
	models?: number;
	base_url?: string;
}

// ---- routing ----

export type StepState = "ready" | "resting" | "needs_you" | "off" | "no_account" | "unknown";

export interface ChainStep {
	target: string;
	provider: string;
	name?: string;
	model?: string;
	same_model?: boolean;
	from?: string;
	state: StepState;
	ready: number;
	accounts: number;
	until?: string;
	problem?: string;
	can: { tools?: string; images?: string; documents?: string; thinking?: string; context?: number; max_output?: number };
}

export interface Chain {
	of: string;
	default?: boolean;
	steps: ChainStep[];
	locked_by?: string;
}

export interface Routing {
	default: { provider?: string; name?: string; chosen: boolean; locked_by?: string };
	chains: Chain[];
	aliases: { name: string; target: string; scope: string; provider?: string; account?: string; label?: string; locked_by?: string; problem?: string }[];
	model_fallbacks: { model: string; steps: ChainStep[]; locked_by?: string }[];
	hidden: { patterns: string[]; locked_by?: string };
	thinking: { provider: string; default?: string; max?: string; locked_by?: string }[];
	max_attempts: number;
}
