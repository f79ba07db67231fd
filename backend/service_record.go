package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/events"
	"patchbay/backend/record"
)

// openRecord makes the request log.
func (b *Backend) openRecord(cfg *config.Config) {
	b.readPrices()
	opt := retention(cfg)
	opt.Prices, opt.Metered = b.currentPrices, b.metered
	b.record = record.NewLog(b.db, b.bus, b.log.For("record"), opt)
	b.bodies = record.NewBodies(record.BodyNeeds{
		Dir: filepath.Join(b.o.Paths.Data, "bodies"), Prompts: filepath.Join(b.o.Paths.State, "prompts.log"), Console: b.o.Stderr,
		Bus: b.bus, Log: b.log.For("record"), Chat: chatOf,
	})
	b.bodies.Set(bodyOptions(cfg))
}

// bodyOptions says whose bodies are kept; 0 days in the settings bound nothing.
func bodyOptions(cfg *config.Config) record.BodyOptions {
	r := cfg.Record
	o := record.BodyOptions{
		All: r.Bodies.Enabled, Keys: r.Bodies.Keys, Providers: r.Bodies.Providers, Body: int64(r.Bodies.MaxBody), Disk: int64(r.Bodies.MaxDisk),
		Age: days(r.Bodies.Days), PromptSize: int64(r.PromptLog.MaxSize), PromptFiles: r.PromptLog.MaxFiles, PromptAge: days(r.PromptLog.Days),
	}
	if r.PromptLog.To != "off" {
		o.Prompts = r.PromptLog.To
	}
	return o
}

// days returns a length of time in which 0 days are no bound.
func days(n int) time.Duration {
	if n == 0 {
		return -1
	}
	return time.Duration(n) * 24 * time.Hour
}

// retention says how much of the past is kept; 0 in the settings bounds nothing.
func retention(cfg *config.Config) record.Options {
	opt := record.Options{Age: days(cfg.Record.Retention.Days), Rows: cfg.Record.Retention.Rows, Usage: days(cfg.Record.Retention.UsageDays)}
	if opt.Rows == 0 {
		opt.Rows = -1
	}
	return opt
}

// pricesFile is the person's own table of prices.
func (b *Backend) pricesFile() string {
	return filepath.Join(filepath.Dir(b.o.Paths.Config), record.PricesFile)
}

// readPrices takes up the prices of this version and those of the person's file.
func (b *Backend) readPrices() {
	b.pricesAt.Store(modified(b.pricesFile()))
	table, err := record.LoadPrices(b.pricesFile(), b.services)
	if err != nil {
		b.log.Logger().Error("Your prices cannot be read; those that come with Patchbay are in force", "err", err)
	}
	b.prices.Store(table)
}

// currentPrices returns the prices; a person's file may have been changed by hand.
func (b *Backend) currentPrices() *record.Prices {
	if modified(b.pricesFile()) != b.pricesAt.Load() {
		b.readPrices()
	}
	return b.prices.Load()
}

// modified returns when a file was changed, 0 if it is not there.
func modified(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}

// services returns the names under which a provider may stand in a table of prices: its id, and the preset it is made from.
func (b *Backend) services(id string) []string {
	names := []string{id}
	if o, ok := b.offered(id); ok && o.preset != "" && o.preset != id {
		names = append(names, o.preset)
	}
	return names
}

// metered reports whether an account pays per token: it has a key of its owner's, and its service wants one. A plan that one
// signs in to is paid for otherwise; a service that needs no key costs nothing unless the person says what.
func (b *Backend) metered(account, model string) bool {
	a, ok := b.accounts.Get(account)
	if !ok || a.Login != "" {
		return false
	}
	o, ok := b.offered(a.Provider)
	if ok && o.info.NoKey {
		_, ok = b.currentPrices().Find(a.Provider, model)
	}
	return ok
}

// Requests implements api.Service.
func (b *Backend) Requests(ctx context.Context, q api.RequestQuery) (api.RequestPage, error) {
	labels, keys := b.labels(), b.keyNames()
	f := record.Filter{
		Provider: q.Provider, Account: q.Account, Model: q.Model, Key: q.Key, Kind: q.Kind, Failed: q.State == api.RequestFailed, OK: q.State == api.RequestOK,
		Retried: q.Retried, Status: q.Status, Since: q.Since, Until: q.Until, BeforeID: q.Before, Limit: min(q.Limit, api.MaxRequests), Search: q.Search,
	}
	if text := strings.ToLower(q.Search); text != "" {
		for _, names := range []map[string]string{labels, keys} {
			for id, name := range names {
				if strings.Contains(strings.ToLower(name), text) {
					f.SearchOwners = append(f.SearchOwners, id)
				}
			}
		}
	}
	found, err := b.record.Page(ctx, f)
	if err != nil {
		return api.RequestPage{}, explain(err)
	}
	page := api.RequestPage{Items: make([]api.RequestView, len(found.Rows)), Next: found.Next}
	for i := range found.Rows {
		page.Items[i] = b.requestView(&found.Rows[i], labels, keys)
	}
	if c := found.Counts; c.All >= 0 {
		page.Counts = &api.RequestCounts{All: c.All, Failed: c.Failed, Retried: c.Retried}
	}
	if n := b.record.Dropped(); n > 0 {
		page.Lost = &api.LostRows{Count: n, Last: b.record.LostAt()}
	}
	return page, nil
}

func (b *Backend) requestView(r *record.Row, labels, keys map[string]string) api.RequestView {
	v := api.RequestView{
		ID: r.ID, At: r.At, State: stateOf(r), Key: r.Key, KeyName: keys[r.Key], Client: r.Client, Op: r.Op, Stream: r.Stream, Asked: r.Asked,
		Provider: r.Provider, Account: r.Account, Label: labels[r.Account], Model: r.Model, Attempts: r.Attempts, Status: r.Status,
		Kind: r.Kind, Message: r.Message, Tokens: tokens(r.Tokens), Estimated: r.Estimated, FirstMS: r.First.Milliseconds(),
		DurationMS: r.Total.Milliseconds(), Dropped: r.Dropped, ReplayOf: r.ReplayOf,
	}
	if r.First < 0 {
		v.FirstMS = -1
	}
	if r.Metered {
		if p, ok := b.prices.Load().Find(r.Provider, r.Model); ok {
			cost := p.Cost(r.Tokens)
			v.Cost = &cost
		}
	}
	return v
}

func stateOf(r *record.Row) string {
	switch {
	case r.Running:
		return api.RequestRunning
	case r.Kind == "":
		return api.RequestOK
	case r.Kind == record.HungUp:
		return api.RequestHungUp
	default:
		return api.RequestFailed
	}
}

// Request implements api.Service.
func (b *Backend) Request(ctx context.Context, id string) (api.RequestDetail, error) {
	r, ok, err := b.record.Row(ctx, id)
	if err != nil {
		return api.RequestDetail{}, explain(err)
	}
	if !ok {
		return api.RequestDetail{}, noRequest(id)
	}
	return api.RequestDetail{RequestView: b.requestView(&r, b.labels(), b.keyNames()), Trace: r.Trace, Bodies: b.bodies.Has(id)}, nil
}

func noRequest(id string) error {
	return apierror.New(apierror.RouteNotFound, "there is no request %s in the log; it may have been too old to be kept", id)
}

func tokens(t record.Tokens) api.Tokens {
	return api.Tokens{Input: t.Input, Cached: t.Cached, CacheWrite: t.CacheWrite, Output: t.Output, Reasoning: t.Reasoning}
}

// labels returns the names of accounts by id. Removed ones have none any more.
func (b *Backend) labels() map[string]string {
	out := map[string]string{}
	for _, a := range b.accounts.List() {
		out[a.ID] = a.Name
	}
	return out
}

func (b *Backend) keyNames() map[string]string {
	out := maps.Clone(OwnKeys)
	for _, k := range b.keys.List() {
		out[k.ID] = strings.TrimSpace(k.Name)
	}
	return out
}

// Usage implements api.Service.
func (b *Backend) Usage(ctx context.Context, q api.UsageQuery) (api.UsageView, error) {
	if err := q.Check(); err != nil {
		return api.UsageView{}, err
	}
	ask := record.UsageQuery{
		Since: q.Since, Until: q.Until, Provider: q.Provider, Account: q.Account, Model: q.Model, Key: q.Key, By: record.Dimensions, Bucket: q.Bucket,
		Zone: time.Local,
	}
	if len(q.By) > 0 {
		ask.By = nil
		for _, by := range q.By {
			ask.By = append(ask.By, record.Dimension(by))
		}
	}
	if q.Zone != "" {
		zone, err := time.LoadLocation(q.Zone)
		if err != nil {
			return api.UsageView{}, apierror.Invalid("zone", "there is no time zone %q", q.Zone)
		}
		ask.Zone = zone
	}
	const longest = 62 * 24 * time.Hour // an hour is a row for each account, model and key
	if q.Bucket == record.Hours && (q.Since.IsZero() || cmpNow(q.Until).Sub(q.Since) > longest) {
		return api.UsageView{}, apierror.Invalid("bucket", "ask for hours of two months at most, with since and until; days have no such limit")
	}
	sums, total, err := b.record.Usage(ctx, ask)
	if err != nil {
		return api.UsageView{}, explain(err)
	}
	labels, keys, prices := b.labels(), b.keyNames(), b.prices.Load()
	out := api.UsageView{Rows: make([]api.UsageRow, len(sums)), Total: usageRow(&total), Bucket: q.Bucket, Currency: prices.Currency, Prices: prices.AsOf}
	for _, by := range ask.By {
		out.By = append(out.By, string(by))
	}
	if q.Bucket != "" {
		out.Zone = ask.Zone.String()
	}
	for i := range sums {
		out.Rows[i] = usageRow(&sums[i])
		out.Rows[i].Label, out.Rows[i].KeyName = labels[sums[i].Account], keys[sums[i].Key]
	}
	return out, nil
}

// cmpNow is the end of a span: now if it is open.
func cmpNow(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}

func usageRow(u *record.Usage) api.UsageRow {
	r := api.UsageRow{
		Start: u.Start, Provider: u.Provider, Account: u.Account, Model: u.Model, Key: u.Key, Requests: u.Requests, Errors: u.Errors, HungUp: u.HungUp,
		Tokens: tokens(u.Tokens), Untold: u.Untold, FirstMedianMS: u.FirstMedian, FirstWorstMS: u.FirstWorst, Priced: u.Priced, Unpriced: u.Unpriced,
	}
	if u.Priced > 0 {
		r.Cost = &u.Cost
	}
	return r
}

// Prices implements api.Service.
func (b *Backend) Prices(context.Context) (api.PriceTable, error) {
	p := b.currentPrices()
	return api.PriceTable{Currency: p.Currency, AsOf: p.AsOf, Prices: p.List()}, nil
}

// SetPrices implements api.Service.
func (b *Backend) SetPrices(ctx context.Context, own []api.Price) (api.PriceTable, error) {
	for i := range own {
		if own[i].AsOf == "" {
			own[i].AsOf = time.Now().Format(time.DateOnly)
		}
		if e, ok := errors.AsType[*record.PriceError](own[i].Check()); ok {
			return api.PriceTable{}, apierror.Invalid(fmt.Sprintf("prices[%d].%s", i, e.Field), "%s", e.Msg)
		}
	}
	if err := record.WritePrices(b.pricesFile(), own); err != nil {
		return api.PriceTable{}, explain(err)
	}
	b.readPrices()
	b.bus.Publish(events.Config, "prices", nil)
	return b.Prices(ctx)
}

// Record implements api.Service.
func (b *Backend) Record(ctx context.Context) (api.RecordView, error) {
	size, err := b.record.Size(ctx)
	if err != nil {
		return api.RecordView{}, explain(err)
	}
	cfg := b.settings.Current().Record
	keep, kept := cfg.Retention, b.bodies.Size()
	return api.RecordView{
		KeepUsageDays: keep.UsageDays,
		Bodies: api.BodiesView{
			Enabled: cfg.Bodies.Enabled, Keys: list(cfg.Bodies.Keys), Providers: list(cfg.Bodies.Providers), Files: kept.Files, Bytes: kept.Bytes,
			MaxBytes: int64(cfg.Bodies.MaxDisk), MaxBody: int64(cfg.Bodies.MaxBody), KeepDays: cfg.Bodies.Days, Lost: b.bodies.Dropped(),
		},
		Prompt: api.PromptView{
			To: cfg.PromptLog.To, Path: filepath.Join(b.o.Paths.State, "prompts.log"), Bytes: kept.PromptsBytes,
			MaxBytes: int64(cfg.PromptLog.MaxSize) * int64(cfg.PromptLog.MaxFiles),
		},

		Rows: size.Rows, UsageRows: size.Usage, DatabaseBytes: size.Bytes, Oldest: size.Oldest, Lost: b.record.Dropped(),
		Waiting: b.record.Waiting(), Running: b.inFlight(), KeepDays: keep.Days, KeepRows: keep.Rows,
	}, nil
}

// ClearRecord implements api.Service.
func (b *Backend) ClearRecord(ctx context.Context, q api.ClearRequest) (api.RecordView, error) {
	before := cmpNow(q.Before)
	if slices.Contains(q.What, "rows") {
		if err := b.record.ClearRows(ctx, before); err != nil {
			return api.RecordView{}, explain(err)
		}
	}
	if slices.Contains(q.What, "usage") {
		if err := b.record.ClearUsage(ctx, before); err != nil {
			return api.RecordView{}, explain(err)
		}
	}
	if slices.Contains(q.What, "bodies") {
		if err := b.bodies.Clear(before); err != nil {
			return api.RecordView{}, explain(err)
		}
	}
	if slices.Contains(q.What, "prompt_log") {
		if err := b.bodies.ClearPrompts(); err != nil {
			return api.RecordView{}, explain(err)
		}
	}
	b.bus.Publish(events.Request, "", nil)
	return b.Record(ctx)
}

// list is never nil, so that it is written as a list.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
