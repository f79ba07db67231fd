package backend

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/backend/record"
)

// openRecord makes the request log.
func (b *Backend) openRecord(cfg *config.Config) {
	b.readPrices()
	opt := retention(cfg)
	opt.Prices, opt.Metered = b.prices.Load, b.metered
	b.record = record.NewLog(b.db, b.bus, b.log.For("record"), opt)
}

// retention says how much of the past is kept; 0 in the settings bounds nothing.
func retention(cfg *config.Config) record.Options {
	opt := record.Options{Age: time.Duration(cfg.Record.Retention.Days) * 24 * time.Hour, Rows: cfg.Record.Retention.Rows}
	if opt.Age == 0 {
		opt.Age = -1
	}
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
	table, err := record.LoadPrices(b.pricesFile(), b.services)
	if err != nil {
		b.log.Logger().Error("Your prices cannot be read; those that come with Patchbay are in force", "err", err)
	}
	b.prices.Store(table)
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
// signs in to is paid for otherwise.
func (b *Backend) metered(account string) bool {
	a, ok := b.accounts.Get(account)
	if !ok || a.Login != "" {
		return false
	}
	o, ok := b.offered(a.Provider)
	return ok && !o.info.NoKey
}

// Requests implements api.Service.
func (b *Backend) Requests(ctx context.Context, q api.RequestQuery) ([]api.RequestView, error) {
	rows, err := b.record.Latest(ctx, record.Filter{
		Provider: q.Provider, Account: q.Account, Model: q.Model, Key: q.Key, Kind: q.Kind, Failed: q.Failed,
		Since: q.Since, Until: q.Until, BeforeID: q.Before, Limit: min(q.Limit, api.MaxRequests),
	})
	if err != nil {
		return nil, explain(err)
	}
	labels, keys := b.labels(), b.keyNames()
	out := make([]api.RequestView, len(rows))
	for i := range rows {
		r := &rows[i]
		out[i] = api.RequestView{
			ID: r.ID, At: r.At, Key: r.Key, KeyName: keys[r.Key], Client: r.Client, Op: r.Op, Stream: r.Stream, Asked: r.Asked,
			Provider: r.Provider, Account: r.Account, Label: labels[r.Account], Model: r.Model, Attempts: r.Attempts, Status: r.Status,
			Kind: r.Kind, Message: r.Message, Tokens: tokens(r.Tokens), FirstMS: r.First.Milliseconds(), DurationMS: r.Total.Milliseconds(), Dropped: r.Dropped,
			Trace: r.Trace,
		}
		if r.First < 0 {
			out[i].FirstMS = -1
		}
	}
	return out, nil
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
	out := map[string]string{}
	for _, k := range b.keys.List() {
		out[k.ID] = strings.TrimSpace(k.Name)
	}
	return out
}

// Usage implements api.Service.
func (b *Backend) Usage(ctx context.Context, q api.UsageQuery) (api.UsageView, error) {
	sums, total, err := b.record.Usage(ctx, record.UsageQuery{Since: q.Since, Until: q.Until, By: record.Dimensions})
	if err != nil {
		return api.UsageView{}, explain(err)
	}
	labels, keys := b.labels(), b.keyNames()
	out := api.UsageView{Rows: make([]api.UsageRow, len(sums))}
	for i, u := range sums {
		out.Rows[i] = api.UsageRow{
			Provider: u.Provider, Account: u.Account, Label: labels[u.Account], Model: u.Model, Key: u.Key, KeyName: keys[u.Key],
			Requests: u.Requests, Errors: u.Errors, Tokens: tokens(u.Tokens),
		}
	}
	out.Total = api.UsageRow{Requests: total.Requests, Errors: total.Errors, Tokens: tokens(total.Tokens)}
	return out, nil
}
