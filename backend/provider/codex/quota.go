package codex

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
)

// mainMeter is the meter of everything that has none of its own.
const mainMeter = "codex"

// quotaFresh is for how long what the headers of answers said is good enough, and how often the service is asked at most.
const quotaFresh = 5 * time.Minute

// window is one allowance of a meter.
type window struct {
	used    float64 // percent
	seconds int64
	reset   time.Time
}

func (w window) quota(limit string) provider.Quota {
	q := provider.Quota{Name: windowName(w.seconds), Unit: "percent", Used: w.used, Limit: 100}
	if !w.reset.IsZero() {
		q.ResetsAt = w.reset.UnixMilli()
	}
	if limit != "" {
		q.Name = limit + ": " + strings.ToLower(q.Name[:1]) + q.Name[1:]
		q.Models = []string{strings.ToLower(limit)} // the meters of single models bear their names
	}
	return q
}

// windowName names a window by its length: the service's first one is not always the shorter, and a free plan may have only one.
func windowName(seconds int64) string {
	const hour, day = 3600, 86400
	switch {
	case seconds == 7*day:
		return "Weekly limit"
	case seconds >= 28*day && seconds <= 31*day:
		return "Monthly limit"
	case seconds <= 0:
		return "Limit"
	case seconds%day == 0:
		return strconv.FormatInt(seconds/day, 10) + "-day limit"
	default:
		return strconv.FormatInt(max(seconds/hour, 1), 10) + "-hour limit"
	}
}

// meter reads the headers of one meter: "codex" or, for single models, "codex-...".
func meter(h http.Header, id string) (list []window) {
	for _, place := range []string{"primary", "secondary"} {
		get := func(what string) string { return h.Get("X-" + id + "-" + place + "-" + what) }
		used, err := strconv.ParseFloat(get("used-percent"), 64)
		if err != nil || used < 0 {
			continue
		}
		w := window{used: used}
		if n, err := strconv.ParseFloat(get("window-minutes"), 64); err == nil && n > 0 && n < 1e7 {
			w.seconds = int64(n * 60)
		}
		if n, err := strconv.ParseInt(get("reset-at"), 10, 64); err == nil && n > 0 {
			w.reset = time.Unix(n, 0)
		} else if n, err := strconv.ParseFloat(get("reset-after-seconds"), 64); err == nil && n > 0 && n < 1e8 { // the form of 2025
			w.reset = time.Now().Add(time.Duration(n * float64(time.Second)))
		}
		list = append(list, w)
	}
	return list
}

// meters lists the meters that the headers speak of, the main one first.
func meters(h http.Header) []string {
	var out []string
	for name := range h {
		low := strings.ToLower(name)
		id, ok := strings.CutSuffix(low, "-primary-used-percent")
		if !ok {
			id, ok = strings.CutSuffix(low, "-secondary-used-percent")
		}
		if id, found := strings.CutPrefix(id, "x-"); ok && found && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	return out
}

// saw takes note of what the headers of an answer say of the allowance, which makes asking for it needless.
func (u *upstream) saw(h http.Header) {
	var list []provider.Quota
	for _, id := range meters(h) {
		limit := ""
		if id != mainMeter {
			limit = cmp.Or(h.Get("X-"+id+"-Limit-Name"), id)
		}
		for _, w := range meter(h, id) {
			list = append(list, w.quota(limit))
		}
	}
	if len(list) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen, u.seenAt = list, time.Now()
}

// untilFull returns how long a window that is used up stays so, 0 if the headers name none.
func untilFull(h http.Header) time.Duration {
	id := cmp.Or(strings.ToLower(h.Get("X-Codex-Active-Limit")), mainMeter)
	if !slices.Contains(meters(h), id) {
		id = mainMeter
	}
	var wait time.Duration
	for _, w := range meter(h, id) {
		if w.used >= 100 && !w.reset.IsZero() {
			wait = max(wait, time.Until(w.reset))
		}
	}
	return wait
}

// usage is the service's answer about an account's allowance.
type usage struct {
	Plan  string     `json:"plan_type"`
	Main  usageLimit `json:"rate_limit"`
	Other []struct {
		Name  string     `json:"limit_name"`
		Limit usageLimit `json:"rate_limit"`
	} `json:"additional_rate_limits"`
	Credits struct {
		Has       bool           `json:"has_credits"`
		Unlimited bool           `json:"unlimited"`
		Balance   jsontext.Value `json:"balance"` // a number in a string
	} `json:"credits"`
}

type usageLimit struct {
	Primary   *usageWindow `json:"primary_window"`
	Secondary *usageWindow `json:"secondary_window"`
}

type usageWindow struct {
	Used    float64 `json:"used_percent"`
	Seconds float64 `json:"limit_window_seconds"`
	Reset   float64 `json:"reset_at"`
}

func (l usageLimit) quotas(name string) (out []provider.Quota) {
	for _, v := range []*usageWindow{l.Primary, l.Secondary} {
		if v == nil {
			continue
		}
		w := window{used: v.Used, seconds: int64(v.Seconds)}
		if v.Reset > 0 && v.Reset < 1<<40 {
			w.reset = time.Unix(int64(v.Reset), 0)
		}
		out = append(out, w.quota(name))
	}
	return out
}

func (v *usage) quotas() []provider.Quota {
	out := v.Main.quotas("")
	for _, o := range v.Other {
		out = append(out, o.Limit.quotas(o.Name)...)
	}
	balance, err := strconv.ParseFloat(strings.Trim(string(v.Credits.Balance), `"`), 64)
	if v.Credits.Has && !v.Credits.Unlimited && err == nil {
		out = append(out, provider.Quota{Name: "Credits left", Unit: "credits", Limit: balance})
	}
	return out
}

// Quota tells how much of the plan's windows is used. What the last answers said is told again while it is fresh; else the
// service is asked, which costs nothing of it.
func (u *upstream) Quota(ctx context.Context) ([]provider.Quota, error) {
	u.mu.Lock()
	now, seen := time.Now(), slices.Clone(u.seen)
	if len(seen) > 0 && (now.Sub(u.seenAt) < quotaFresh || now.Sub(u.asked) < quotaFresh) {
		u.mu.Unlock()
		return seen, nil
	}
	u.asked = now
	u.mu.Unlock()
	var v usage
	if err := u.get(ctx, u.backend()+"/wham/usage", &v); err != nil {
		return nil, err
	}
	u.remember(notePlan, v.Plan)
	list := v.quotas()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen, u.seenAt = list, time.Now()
	return slices.Clone(list), nil
}

// backend is the part of the address that all of ChatGPT's services have in common.
func (u *upstream) backend() string { return strings.TrimSuffix(u.address(), "/codex") }

// get asks for a small object.
func (u *upstream) get(ctx context.Context, address string, dst any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, transport.ListLimit, transport.LimitError("answer", transport.ListLimit))
	defer cancel()
	call, err := u.call(ctx, "")
	if err != nil {
		return call.Fill(err)
	}
	call.URL = address
	call.Header.Del("Content-Type")
	body, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxList, u.refused)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, dst, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return call.Fill(apierror.New(apierror.Upstream5xx, "the service answered something else than expected"))
	}
	return nil
}
