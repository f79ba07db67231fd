package apierror

// Policy says what a kind of error does next.
type Policy struct {
	Row          Row
	Same         Repeat // once more on the same account?
	NextAccount  Next   // on another account of the pool?
	NextProvider Next   // on the next candidate of the plan?
	Effect       Effect // on the account
}

// Repeat says whether the same account is tried again.
type Repeat uint8

// Values of Repeat.
const (
	NoRepeat      Repeat = iota
	RepeatOnce           // after a short pause
	RepeatIfShort        // once, if the wished pause is short enough for Policy.ShortWait of the provider
	RepeatFresh          // once, after one refresh of the login
)

// Next says whether something else is tried.
type Next uint8

// Values of Next.
const (
	Never    Next = iota
	Always        // as long as the limits allow
	OneMore       // one more account at most
	IfLarger      // a candidate with a larger context
)

// Effect is what an error does to the account's health.
type Effect uint8

// Values of Effect.
const (
	NoEffect   Effect = iota
	CoolDown          // account × Scope rests until RetryAfter, else with growing pauses
	CoolAll           // the whole account rests
	Absent            // the account does not have the model
	NeedsLogin        // the login is no longer good
	Blocked           // a person must act at the vendor's
	CountUp           // a fault; the third in a row rests the account
	ModelRests        // the provider's model rests, whatever the account
)

// policies is the table. TestPolicyIsComplete walks all kinds.
var policies = [lastKind]Policy{
	Internal:           {Row: RowInternal},
	InvalidRequest:     {Row: RowInvalid},
	ContentFiltered:    {Row: RowInvalid},
	BodyTooLarge:       {Row: RowTooLarge},
	ContextTooLong:     {Row: RowContext, NextProvider: IfLarger},
	Unsupported:        {Row: RowUnsupported, NextProvider: Always},
	NotConfigured:      {Row: RowInvalid, NextProvider: Always},
	ClientUnauthorized: {Row: RowAuth},
	ClientForbidden:    {Row: RowPermission},
	ClientLimited:      {Row: RowRateLimit},
	PolicyRefused:      {Row: RowPermission, NextProvider: Always},
	ModelNotFound:      {Row: RowModelNotFound, NextAccount: Always, NextProvider: Always, Effect: Absent},
	RouteNotFound:      {Row: RowRouteNotFound},
	RateLimited:        {Row: RowRateLimit, Same: RepeatIfShort, NextAccount: Always, NextProvider: Always, Effect: CoolDown},
	QuotaExhausted:     {Row: RowQuota, NextAccount: Always, NextProvider: Always, Effect: CoolDown},
	NoCredit:           {Row: RowBilling, NextAccount: Always, NextProvider: Always, Effect: CoolAll},
	AuthExpired:        {Row: RowOverloaded, Same: RepeatFresh, NextAccount: Always, NextProvider: Always, Effect: NeedsLogin},
	AccountBlocked:     {Row: RowOverloaded, NextAccount: Always, NextProvider: Always, Effect: Blocked},
	Overloaded:         {Row: RowOverloaded, Same: RepeatOnce, NextAccount: Always, NextProvider: Always},
	ModelBusy:          {Row: RowOverloaded, Same: RepeatOnce, NextAccount: OneMore, NextProvider: Always, Effect: ModelRests},
	Upstream5xx:        {Row: RowUpstream, Same: RepeatOnce, NextAccount: Always, NextProvider: Always, Effect: CountUp},
	Transport:          {Row: RowUpstream, Same: RepeatOnce, NextAccount: Always, NextProvider: Always, Effect: CountUp},
	Truncated:          {Row: RowUpstream, Same: RepeatOnce, NextAccount: Always, NextProvider: Always, Effect: CountUp},
	Timeout:            {Row: RowTimeout, NextAccount: Always, NextProvider: Always, Effect: CountUp},
	NoAccount:          {Row: RowOverloaded, NextProvider: Always},
	Canceled:           {Row: RowInternal},
	Shutdown:           {Row: RowOverloaded},
}

// PolicyOf returns what a kind does next.
func PolicyOf(k Kind) Policy {
	if k < lastKind {
		return policies[k]
	}
	return policies[Internal]
}
