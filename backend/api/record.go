package api

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/record"
)

// RecordService is the part of Service that concerns what happened: requests, usage, prices, and how much of it is kept.
type RecordService interface {
	// Requests lists rows of the request log, latest first; the first page begins with the requests that run.
	Requests(ctx context.Context, q RequestQuery) (RequestPage, error)
	// Request returns one request with its way, running or over.
	Request(ctx context.Context, id string) (RequestDetail, error)
	Usage(ctx context.Context, q UsageQuery) (UsageView, error)

	// Prices returns the table by which costs are estimated, the person's own prices first.
	Prices(ctx context.Context) (PriceTable, error)
	// SetPrices replaces the person's own prices.
	SetPrices(ctx context.Context, own []Price) (PriceTable, error)

	// Record says how much of the past is kept.
	Record(ctx context.Context) (RecordView, error)
	// ClearRecord deletes a part of it for good.
	ClearRecord(ctx context.Context, q ClearRequest) (RecordView, error)
}

// MaxRequests is the most rows one call returns.
const MaxRequests = 1000

// The states of a request.
const (
	RequestRunning = "running"
	RequestOK      = "ok"
	RequestFailed  = "failed"
	RequestHungUp  = "hung_up" // the client went away before its answer was whole
)

// RequestQuery selects rows of the request log.
type RequestQuery struct {
	Provider, Account, Model, Key, Kind string
	State                               string // RequestOK or RequestFailed; "" = any
	Retried                             bool   // more than one attempt
	Status                              int    // 0 = any
	Search                              string // a text in a row, the beginning of its id, or the name of an account or key
	Since, Until                        time.Time
	Before                              string // id of a row: older ones only
	Limit                               int    // 0 = 100, at most 1000
}

// RequestPage is a part of the request log.
type RequestPage struct {
	Items  []RequestView  `json:"items"`
	Next   string         `json:"next,omitempty"`   // before, for the next page; missing = there is none
	Counts *RequestCounts `json:"counts,omitempty"` // with the first page
	Lost   *LostRows      `json:"lost,omitempty"`   // rows that were not written since the program started
}

// RequestCounts counts the rows that a query finds whatever their state.
type RequestCounts struct {
	All     int64 `json:"all"`
	Failed  int64 `json:"failed"`
	Retried int64 `json:"retried"`
}

// LostRows are rows that were not written because the disk was too slow or full.
type LostRows struct {
	Count int64     `json:"count"`
	Last  time.Time `json:"last"` // when the latest was lost
}

// RequestView is one row of the request log.
type RequestView struct {
	ID         string    `json:"id"`
	At         time.Time `json:"at"`
	State      string    `json:"state" oneof:"running,ok,failed,hung_up"`
	Key        string    `json:"key,omitempty"` // id of the client key
	KeyName    string    `json:"key_name,omitempty"`
	Client     string    `json:"client"` // the client's wire format
	Op         string    `json:"op,omitempty"`
	Stream     bool      `json:"stream"`
	Asked      string    `json:"asked"`
	Provider   string    `json:"provider,omitempty"`
	Account    string    `json:"account,omitempty"` // its id
	Label      string    `json:"label,omitempty"`   // the account's name
	Model      string    `json:"model,omitempty"`
	Attempts   int       `json:"attempts"`
	Status     int       `json:"status"`         // 0 while it runs
	Kind       string    `json:"kind,omitempty"` // of the error
	Message    string    `json:"message,omitempty"`
	Tokens     Tokens    `json:"tokens"`
	Estimated  bool      `json:"estimated,omitzero"` // the service told no tokens; these are an estimate
	Cost       *float64  `json:"cost,omitempty"`     // estimated, in the currency of the price table; only where one pays per token
	FirstMS    int64     `json:"first_ms"`           // to the first content, -1 = none came yet
	DurationMS int64     `json:"duration_ms"`        // so far, while it runs
	Dropped    []string  `json:"dropped,omitempty"`
	ReplayOf   string    `json:"replay_of,omitempty"` // id of the request that was sent again
}

// RequestDetail is one request with its way.
type RequestDetail struct {
	RequestView
	Trace  []TraceStep `json:"trace"`
	Bodies bool        `json:"bodies"` // both sides were kept
}

// Tokens counts tokens; -1 is unknown. Input includes Cached and CacheWrite, Output includes Reasoning.
type Tokens struct {
	Input      int64 `json:"input"`
	Cached     int64 `json:"cached"`
	CacheWrite int64 `json:"cache_write"`
	Output     int64 `json:"output"`
	Reasoning  int64 `json:"reasoning"`
}

// UsageQuery says which usage is added up, and how.
type UsageQuery struct {
	Since, Until                  time.Time // zero ends are open
	Provider, Account, Model, Key string    // "" does not narrow
	By                            []string  // provider, account, model, key; none = all four
	Bucket                        string    // hour or day; "" = one sum over all the time
	Zone                          string    // time zone of days and hours, as in Europe/Berlin; "" = that of the machine
}

// UsageView is what was used.
type UsageView struct {
	Rows     []UsageRow `json:"rows"`
	Total    UsageRow   `json:"total"`
	By       []string   `json:"by"`
	Bucket   string     `json:"bucket,omitempty"`
	Zone     string     `json:"zone,omitempty"`         // of the days and hours
	Currency string     `json:"currency,omitempty"`     // of costs
	Prices   string     `json:"prices_as_of,omitempty"` // the day of the built-in price table
}

// UsageRow adds up one combination of what was asked for. Counts of tokens that no request told are -1.
type UsageRow struct {
	Start         time.Time `json:"start,omitzero"` // of the hour or day
	Provider      string    `json:"provider,omitempty"`
	Account       string    `json:"account,omitempty"` // its id
	Label         string    `json:"label,omitempty"`   // the account's name
	Model         string    `json:"model,omitempty"`
	Key           string    `json:"key,omitempty"`
	KeyName       string    `json:"key_name,omitempty"`
	Requests      int64     `json:"requests"`
	Errors        int64     `json:"errors"`
	HungUp        int64     `json:"hung_up"` // the client went away
	Tokens        Tokens    `json:"tokens"`
	Untold        int64     `json:"untold"`              // answered requests whose service reported no tokens: theirs are estimates
	FirstMedianMS int64     `json:"first_median_ms"`     // to the first content; -1 = unknown
	FirstWorstMS  int64     `json:"first_worst_5pct_ms"` // one of twenty took at least as long
	Cost          *float64  `json:"cost,omitempty"`      // estimated, of the priced requests
	Priced        int64     `json:"priced"`              // requests that are paid per token and have a price
	Unpriced      int64     `json:"unpriced"`            // requests that are paid per token and have none
}

// Add adds other to u; what is unknown on one side only is taken from the other. Times and what they belong to stay.
func (u *UsageRow) Add(other UsageRow) {
	u.Requests += other.Requests
	u.Errors += other.Errors
	u.HungUp += other.HungUp
	u.Untold += other.Untold
	u.Priced += other.Priced
	u.Unpriced += other.Unpriced
	for _, t := range []struct{ n, more *int64 }{
		{&u.Tokens.Input, &other.Tokens.Input}, {&u.Tokens.Cached, &other.Tokens.Cached}, {&u.Tokens.CacheWrite, &other.Tokens.CacheWrite},
		{&u.Tokens.Output, &other.Tokens.Output}, {&u.Tokens.Reasoning, &other.Tokens.Reasoning},
	} {
		if *t.more >= 0 {
			*t.n = max(*t.n, 0) + *t.more
		}
	}
	if other.Cost != nil {
		sum := *other.Cost
		if u.Cost != nil {
			sum += *u.Cost
		}
		u.Cost = &sum
	}
}

// PriceTable is what services ask for.
type PriceTable struct {
	Currency string  `json:"currency"`
	AsOf     string  `json:"as_of"` // the day of the built-in table
	Prices   []Price `json:"prices"`
}

// Price is what a service asks for a million tokens.
type Price = record.Price

// RecordView says how much of the past is kept, and what bounds it.
type RecordView struct {
	Rows          int64     `json:"rows"`
	UsageRows     int64     `json:"usage_rows"`
	DatabaseBytes int64     `json:"database_bytes"`
	Lost          int64     `json:"lost"` // rows that were not written since the program started
	Waiting       int       `json:"waiting"`
	Running       int64     `json:"running"`
	KeepDays      int       `json:"keep_days"` // 0 = no bound
	KeepRows      int       `json:"keep_rows"`
	Oldest        time.Time `json:"oldest,omitzero"` // row
	KeepUsageDays int       `json:"keep_usage_days"`

	Bodies BodiesView `json:"bodies"`
	Prompt PromptView `json:"prompt_log"`
}

// BodiesView says which bodies are kept, and how much they take.
type BodiesView struct {
	Enabled   bool     `json:"enabled"` // of all requests
	Keys      []string `json:"keys"`
	Providers []string `json:"providers"`
	Files     int      `json:"files"`
	Bytes     int64    `json:"bytes"`
	MaxBytes  int64    `json:"max_bytes"`
	MaxBody   int64    `json:"max_body"`
	KeepDays  int      `json:"keep_days"` // 0 = no bound
	Lost      int64    `json:"lost"`      // since the program started
}

// PromptView says where prompts are written as text.
type PromptView struct {
	To       string `json:"to" oneof:"off,console,file"`
	Path     string `json:"path"`
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"` // of all files
}

// ClearRequest says what is to be deleted.
type ClearRequest struct {
	What   []string  `json:"what"`            // rows, usage, bodies, prompt_log
	Before time.Time `json:"before,omitzero"` // older ones only; missing = all
}

// Clearable are the parts of the record that can be deleted.
var Clearable = []string{"rows", "usage", "bodies", "prompt_log"}

var recordEndpoints = []endpoint{
	{
		pattern: "GET /api/requests", call: listRequests, gives: of[RequestPage](), about: "Requests, latest first; those that run come with the first page",
		query: append([]param{
			{"provider", "string", ""}, {"account", "string", "its id"}, {"model", "string", ""}, {"key", "string", "its id"},
			{"kind", "string", "of the error"}, {"state", "string", "ok or failed"}, {"failed", "boolean", "the same as state=failed"},
			{"retried", "boolean", "more than one attempt"}, {"status", "integer", "HTTP status"},
			{"q", "string", "a text in a row, the beginning of its id, or the name of an account or key"},
			{"before", "string", "next of the page before"}, {"limit", "integer", "1 to 1000, 100 if not given"},
		}, spanParams...),
	},
	{pattern: "GET /api/requests/{id}", call: getRequest, gives: of[RequestDetail](), about: "One request with its way"},
	{pattern: "GET /api/usage", call: getUsage, gives: of[UsageView](), query: usageParams, about: "What was used, added up"},
	{pattern: "GET /api/usage.csv", raw: usageCSV, media: "text/csv", query: usageParams, about: "The same as a table"},
	{pattern: "GET /api/prices", call: getPrices, gives: of[PriceTable](), about: "What services ask for a million tokens"},
	{pattern: "PUT /api/prices", call: setPrices, takes: of[ownPrices](), gives: of[PriceTable](), about: "Replaces the person's own prices"},
	{pattern: "GET /api/record", call: getRecord, gives: of[RecordView](), about: "How much of the past is kept"},
	{pattern: "POST /api/record/clear", call: clearRecord, takes: of[ClearRequest](), gives: of[RecordView](), about: "Deletes a part of it for good"},
}

// spanParams are the parameters that span reads.
var spanParams = []param{{"since", "time", ""}, {"until", "time", ""}}

var usageParams = append([]param{
	{"by", "string", "any of provider, account, model, key, with commas; all four if not given"}, {"bucket", "string", "hour or day"},
	{"zone", "string", "time zone of days and hours, as in Europe/Berlin; that of the machine if not given"},
	{"provider", "string", ""}, {"account", "string", "its id"}, {"model", "string", ""}, {"key", "string", "its id"},
}, spanParams...)

type ownPrices struct {
	Prices []Price `json:"prices"`
}

func listRequests(svc Service, r *http.Request) (any, error) {
	q := RequestQuery{
		Provider: r.FormValue("provider"), Account: r.FormValue("account"), Model: r.FormValue("model"), Key: r.FormValue("key"),
		Kind: r.FormValue("kind"), State: r.FormValue("state"), Search: strings.TrimSpace(r.FormValue("q")), Before: r.FormValue("before"),
	}
	var err error
	if q.Since, q.Until, err = span(r); err != nil {
		return nil, err
	}
	failed, err := flag(r, "failed")
	if err != nil {
		return nil, err
	}
	if failed {
		q.State = RequestFailed
	}
	if q.Retried, err = flag(r, "retried"); err != nil {
		return nil, err
	}
	if q.State != "" && q.State != RequestOK && q.State != RequestFailed {
		return nil, apierror.Invalid("state", "state is ok or failed")
	}
	if v := r.FormValue("status"); v != "" {
		if q.Status, err = strconv.Atoi(v); err != nil || q.Status < 100 || q.Status > 599 {
			return nil, apierror.Invalid("status", "status is an HTTP status, for example 429")
		}
	}
	if v := r.FormValue("limit"); v != "" {
		if q.Limit, err = strconv.Atoi(v); err != nil || q.Limit < 1 || q.Limit > MaxRequests {
			return nil, apierror.Invalid("limit", "limit is a number from 1 to %d", MaxRequests)
		}
	}
	page, err := svc.Requests(r.Context(), q)
	if page.Items == nil {
		page.Items = []RequestView{}
	}
	return page, err
}

func flag(r *http.Request, name string) (bool, error) {
	v := r.FormValue(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, apierror.Invalid(name, "%s is true or false", name)
	}
	return b, nil
}

func getRequest(svc Service, r *http.Request) (any, error) {
	d, err := svc.Request(r.Context(), r.PathValue("id"))
	if d.Trace == nil {
		d.Trace = []TraceStep{}
	}
	return d, err
}

func usageQuery(r *http.Request) (UsageQuery, error) {
	since, until, err := span(r)
	q := UsageQuery{
		Since: since, Until: until, Provider: r.FormValue("provider"), Account: r.FormValue("account"), Model: r.FormValue("model"),
		Key: r.FormValue("key"), Bucket: r.FormValue("bucket"), Zone: r.FormValue("zone"),
	}
	if v := r.FormValue("by"); v != "" {
		q.By = strings.Split(v, ",")
	}
	if err == nil {
		err = q.Check()
	}
	return q, err
}

// Check reports what cannot be asked for. The error is *apierror.Error and names the field.
func (q *UsageQuery) Check() error {
	for _, by := range q.By {
		if !slices.Contains(record.Dimensions, record.Dimension(by)) {
			return apierror.Invalid("by", "by is one or more of provider, account, model, key, with commas between")
		}
	}
	if q.Bucket != "" && q.Bucket != record.Hours && q.Bucket != record.Days {
		return apierror.Invalid("bucket", "bucket is hour or day")
	}
	if _, err := time.LoadLocation(q.Zone); err != nil {
		return apierror.Invalid("zone", "zone is the name of a time zone, as in Europe/Berlin")
	}
	return nil
}

func getUsage(svc Service, r *http.Request) (any, error) {
	q, err := usageQuery(r)
	if err != nil {
		return nil, err
	}
	u, err := svc.Usage(r.Context(), q)
	if u.Rows == nil {
		u.Rows = []UsageRow{}
	}
	return u, err
}

func usageCSV(h *handler, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), timeLimit)
	defer cancel()
	q, err := usageQuery(r)
	if err != nil {
		fail(w, err)
		return
	}
	u, err := h.svc.Usage(ctx, q)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="patchbay-usage.csv"`)
	_ = u.WriteCSV(w) // the caller may be gone
}

// WriteCSV writes the rows as a table with a head line. What is not known is an empty cell.
func (u *UsageView) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	err := out.Write([]string{
		"start", "provider", "account", "account_name", "model", "key", "key_name", "requests", "errors", "hung_up", "input_tokens", "cached_tokens",
		"cache_write_tokens", "output_tokens", "reasoning_tokens", "requests_without_tokens", "first_median_ms", "first_worst_5pct_ms",
		"estimated_cost", "currency", "requests_priced", "requests_without_price",
	})
	for i := range u.Rows {
		r := &u.Rows[i]
		start, cost, currency := "", "", ""
		if !r.Start.IsZero() {
			start = r.Start.Format(time.RFC3339)
		}
		if r.Cost != nil {
			cost, currency = strconv.FormatFloat(*r.Cost, 'f', 6, 64), u.Currency
		}
		err = errors.Join(err, out.Write([]string{
			start, cell(r.Provider), cell(r.Account), cell(r.Label), cell(r.Model), cell(r.Key), cell(r.KeyName), number(r.Requests), number(r.Errors), number(r.HungUp),
			number(r.Tokens.Input), number(r.Tokens.Cached), number(r.Tokens.CacheWrite), number(r.Tokens.Output), number(r.Tokens.Reasoning),
			number(r.Untold), number(r.FirstMedianMS), number(r.FirstWorstMS), cost, currency, number(r.Priced), number(r.Unpriced),
		}))
	}
	out.Flush()
	return errors.Join(err, out.Error())
}

// cell keeps a spreadsheet from taking a text for a formula: model names come from clients.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func number(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func getPrices(svc Service, r *http.Request) (any, error) { return svc.Prices(r.Context()) }

func setPrices(svc Service, r *http.Request) (any, error) {
	var in ownPrices
	if err := decode(r.Body, &in); err != nil {
		return nil, err
	}
	return svc.SetPrices(r.Context(), in.Prices)
}

func getRecord(svc Service, r *http.Request) (any, error) { return svc.Record(r.Context()) }

func clearRecord(svc Service, r *http.Request) (any, error) {
	var q ClearRequest
	if err := decode(r.Body, &q); err != nil {
		return nil, err
	}
	for _, what := range q.What {
		if !slices.Contains(Clearable, what) {
			return nil, apierror.Invalid("what", "what is any of %s", strings.Join(Clearable, ", "))
		}
	}
	if len(q.What) == 0 {
		return nil, apierror.Invalid("what", "say what is to be deleted: %s", strings.Join(Clearable, ", "))
	}
	return svc.ClearRecord(r.Context(), q)
}

// span reads since and until.
func span(r *http.Request) (since, until time.Time, err error) {
	for name, dst := range map[string]*time.Time{"since": &since, "until": &until} {
		v := r.FormValue(name)
		if v == "" {
			continue
		}
		if *dst, err = time.Parse(time.RFC3339, v); err != nil {
			return since, until, apierror.Invalid(name, "%s is a time like 2026-11-22T14:00:00Z", name)
		}
	}
	return since, until, nil
}

// Requests implements Service.
func (c *Client) Requests(ctx context.Context, rq RequestQuery) (RequestPage, error) {
	q := url.Values{}
	set(q, "provider", rq.Provider)
	set(q, "account", rq.Account)
	set(q, "model", rq.Model)
	set(q, "key", rq.Key)
	set(q, "kind", rq.Kind)
	set(q, "state", rq.State)
	set(q, "q", rq.Search)
	set(q, "before", rq.Before)
	setTime(q, "since", rq.Since)
	setTime(q, "until", rq.Until)
	if rq.Retried {
		q.Set("retried", "true")
	}
	if rq.Status != 0 {
		q.Set("status", strconv.Itoa(rq.Status))
	}
	if rq.Limit != 0 {
		q.Set("limit", strconv.Itoa(rq.Limit))
	}
	return get[RequestPage](ctx, c, "/api/requests", q)
}

// Request implements Service.
func (c *Client) Request(ctx context.Context, id string) (RequestDetail, error) {
	return get[RequestDetail](ctx, c, "/api/requests/"+url.PathEscape(id), nil)
}

// Usage implements Service.
func (c *Client) Usage(ctx context.Context, uq UsageQuery) (UsageView, error) {
	q := url.Values{}
	setTime(q, "since", uq.Since)
	setTime(q, "until", uq.Until)
	set(q, "provider", uq.Provider)
	set(q, "account", uq.Account)
	set(q, "model", uq.Model)
	set(q, "key", uq.Key)
	set(q, "by", strings.Join(uq.By, ","))
	set(q, "bucket", uq.Bucket)
	set(q, "zone", uq.Zone)
	return get[UsageView](ctx, c, "/api/usage", q)
}

// Prices implements Service.
func (c *Client) Prices(ctx context.Context) (PriceTable, error) {
	return get[PriceTable](ctx, c, "/api/prices", nil)
}

// SetPrices implements Service.
func (c *Client) SetPrices(ctx context.Context, own []Price) (out PriceTable, err error) {
	err = c.do(ctx, http.MethodPut, "/api/prices", ownPrices{own}, &out)
	return out, err
}

// Record implements Service.
func (c *Client) Record(ctx context.Context) (RecordView, error) {
	return get[RecordView](ctx, c, "/api/record", nil)
}

// ClearRecord implements Service.
func (c *Client) ClearRecord(ctx context.Context, q ClearRequest) (out RecordView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/record/clear", q, &out)
	return out, err
}
