// The words that the page uses for what the API answers. The shapes are generated from the server's own types.
import type {
	AccountView,
	ChainStepView,
	ChainView,
	CoolDownView,
	FieldView,
	FileView,
	KeyView,
	LoginOption as LoginOptionView,
	ModelView,
	OriginView,
	OutcomeView,
	PoolView,
	PresetView,
	ProviderView,
	QuotaView,
	RequestDetail as RequestDetailView,
	RequestPage as RequestPageView,
	RequestView,
	RiskView,
	RoutingView,
	TestView,
	UsageView,
} from "./types.gen";

export type { CreatedKey, DatasetPreview, DatasetQuery, Exchange, KeyLimits, Message, NextStep, PriceTable, QuotaReading, RecordView, Replayed, RequestBodies, Status, Step, Tokens, UsageRow } from "./types.gen";

/** A list as the API gives it. */
export interface List<T> {
	items: T[];
}

export type AccountState = "ready" | "cooling" | "needs_login" | "needs_action" | "blocked" | "disabled" | "discontinued";

export type Account = Omit<AccountView, "state"> & { state: AccountState };
export type CoolDown = CoolDownView;
export type Origin = OriginView;
export type Outcome = OutcomeView;
export type Pool = PoolView;
export type Quota = QuotaView;
export type CredentialFile = FileView;
export type TestResult = TestView;

export type Provider = Omit<ProviderView, "status" | "logins"> & {
	status: "active" | "licensed" | "experimental" | "discontinued";
	logins?: LoginOption[];
};
export type LoginOption = Omit<LoginOptionView, "kind"> & { kind: "browser" | "device" | "key" | "file" };
export type FieldInfo = FieldView;
export type Risk = RiskView;
export type Preset = PresetView;

export type Key = KeyView;
export type Model = ModelView;
export type RequestRow = RequestView;
export type RequestPage = RequestPageView;
export type RequestDetail = RequestDetailView;
export type Usage = UsageView;

export type StepState = "ready" | "resting" | "needs_you" | "off" | "no_account" | "unknown";
export type ChainStep = Omit<ChainStepView, "state"> & { state: StepState };
export type Chain = Omit<ChainView, "steps"> & { steps: ChainStep[] };
export type Routing = Omit<RoutingView, "chains" | "model_fallbacks"> & {
	chains: Chain[];
	model_fallbacks: { model: string; steps: ChainStep[]; locked_by?: string }[];
};
