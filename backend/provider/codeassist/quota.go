package codeassist

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/provider"
	"patchbay/backend/wire"
)

// quotaRules are how a service tells what is left.
type quotaRules struct {
	method string
	read   func(body []byte) ([]provider.Quota, error)
}

// Quota tells what is left of each allowance. It is asked of the host that answers: each counts for itself.
func (u *upstream) Quota(ctx context.Context) ([]provider.Quota, error) {
	body, err := u.free(ctx, u.p.quota.method, false)
	if err != nil {
		return nil, err
	}
	out, err := u.p.quota.read(body)
	if err != nil {
		return nil, u.call(0, "", "", nil).Fill(err)
	}
	return out, nil
}

// left is what remains, from 0 to 1. Beside a time of reset a missing number is 0: the service leaves zeros out.
func left(fraction *float64, reset string) (share float64, known bool) {
	switch {
	case fraction != nil:
		return min(max(*fraction, 0), 1), true
	case reset != "":
		return 0, true
	}
	return 0, false
}

func millis(at string) int64 {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return 0
	}
	return t.UnixMilli()
}

// readQuota reads retrieveUserQuota: one window per model.
func readQuota(body []byte) ([]provider.Quota, error) {
	buckets, err := readBuckets(body)
	if err != nil {
		return nil, err
	}
	var out []provider.Quota
	for _, b := range buckets {
		share, ok := left(b.Fraction, b.Reset)
		if !ok || b.Model == "" {
			continue
		}
		q := provider.Quota{Name: b.Model, Unit: "percent", Models: []string{b.Model}, Used: 100 * (1 - share), Limit: 100, ResetsAt: millis(b.Reset)}
		if n, err := strconv.ParseFloat(b.Amount, 64); err == nil && share > 0 && n >= 0 {
			q.Unit, q.Limit = "requests", n/share
			q.Used = q.Limit - n
		}
		out = append(out, q)
	}
	return out, nil
}

type summaryJSON struct {
	Groups []struct {
		Name    string `json:"displayName"`
		Buckets []struct {
			ID       string   `json:"bucketId"`
			Name     string   `json:"displayName"`
			Window   string   `json:"window"`
			Fraction *float64 `json:"remainingFraction"`
			Reset    string   `json:"resetTime"`
			Disabled bool     `json:"disabled"`
		} `json:"buckets"`
	} `json:"groups"`
	Response jsontext.Value `json:"response"`
}

// readSummary reads retrieveUserQuotaSummary: two windows for each group of models.
func readSummary(body []byte) ([]provider.Quota, error) {
	var in summaryJSON
	if err := json.Unmarshal(body, &in, wire.Lenient); err != nil {
		return nil, unreadable("this account's quota", err)
	}
	if len(in.Groups) == 0 && in.Response.Kind() == '{' {
		return readSummary(in.Response)
	}
	var out []provider.Quota
	for _, g := range in.Groups {
		for _, b := range g.Buckets {
			share, ok := left(b.Fraction, b.Reset)
			if !ok || b.Disabled {
				continue
			}
			models := provider.List(groupGemini)
			if len(b.ID) >= 2 && b.ID[:2] == "3p" {
				models = provider.List(groupOthers)
			}
			name := cmp.Or(b.Name, b.Window, b.ID)
			if g.Name != "" {
				name = g.Name + ": " + name
			}
			out = append(out, provider.Quota{Name: name, Unit: "percent", Models: models, Used: 100 * (1 - share), Limit: 100, ResetsAt: millis(b.Reset)})
		}
	}
	return out, nil
}
