package kiro

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
)

// allowance is how much an account may use, and who it is.
type allowance struct {
	used, limit       float64
	unit              string
	overage           bool // more may be used for money
	reset             time.Time
	user, email, plan string
}

func (a *allowance) exhausted() bool { return a.limit > 0 && a.used >= a.limit && !a.overage }

// Quota tells how much is left. It costs nothing.
func (u *upstream) Quota(ctx context.Context) ([]provider.Quota, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, transport.ListLimit, transport.LimitError("usage", transport.ListLimit))
	defer cancel()
	a, err := u.allowance(ctx)
	if err != nil || a == nil {
		return nil, err
	}
	q := provider.Quota{Name: "Monthly allowance", Unit: a.unit, Used: a.used, Limit: a.limit}
	if a.plan != "" {
		q.Name += " (" + a.plan + ")"
	}
	if !a.reset.IsZero() {
		q.ResetsAt = a.reset.UnixMilli()
	}
	return []provider.Quota{q}, nil
}

// allowance asks for the usage. It is nil if the service does not count anything.
func (u *upstream) allowance(ctx context.Context) (*allowance, error) {
	c, l, err := u.token(ctx)
	if err != nil {
		return nil, err
	}
	op := operation{rest: "/Get-Usage-Limits", target: "GetUsageLimits", old: "/getUsageLimits",
		query: url.Values{"origin": {originIDE}, "resourceType": {"AGENTIC_REQUEST"}, "isEmailRequired": {"true"}}}
	if l.kind == kindKey {
		op.query.Set("origin", originCLI)
	}
	body, err := u.fetch(ctx, c, l, l.apiRegion(u.env.Settings[settingRegion]), op)
	if err != nil {
		return nil, err
	}
	return parseUsage(body, time.Now())
}

// The answer of GetUsageLimits. Numbers may be integers or not, dates seconds or texts.
type (
	usageAnswer struct {
		Reset        jsontext.Value `json:"nextDateReset"`
		List         []usageEntry   `json:"usageBreakdownList"`
		One          *usageEntry    `json:"usageBreakdown"`
		Limits       []oldLimit     `json:"limits"`
		Subscription struct {
			Title string `json:"subscriptionTitle"`
		} `json:"subscriptionInfo"`
		Overage struct {
			Status string `json:"overageStatus"`
		} `json:"overageConfiguration"`
		User struct {
			ID    string `json:"userId"`
			Email string `json:"email"`
		} `json:"userInfo"`
	}
	usageEntry struct {
		usageNumbers
		Type    string         `json:"resourceType"`
		Plural  string         `json:"displayNamePlural"`
		Reset   jsontext.Value `json:"nextDateReset"`
		Trial   *usageExtra    `json:"freeTrialInfo"`
		Bonuses []usageExtra   `json:"bonuses"`
	}
	usageExtra struct {
		usageNumbers
		Trial  string `json:"freeTrialStatus"`
		Status string `json:"status"`
	}
	usageNumbers struct {
		Used      float64  `json:"currentUsage"`
		Limit     float64  `json:"usageLimit"`
		UsedFine  *float64 `json:"currentUsageWithPrecision"`
		LimitFine *float64 `json:"usageLimitWithPrecision"`
	}
	oldLimit struct {
		Type  string  `json:"type"`
		Used  float64 `json:"currentUsage"`
		Limit float64 `json:"totalUsageLimit"`
	}
)

func (n usageNumbers) used() float64 {
	if n.UsedFine != nil {
		return *n.UsedFine
	}
	return n.Used
}

func (n usageNumbers) limit() float64 {
	if n.LimitFine != nil {
		return *n.LimitFine
	}
	return n.Limit
}

// parseUsage reads the usage: the plan's own share, an active trial and active bonuses together.
func parseUsage(body []byte, now time.Time) (*allowance, error) {
	var in usageAnswer
	if err := wire.ReadValue(body, "", &in); err != nil {
		e := apierror.New(apierror.Upstream5xx, "the service told its usage in a form that is not known")
		e.Err = err
		return nil, e
	}
	a := &allowance{user: in.User.ID, email: in.User.Email, plan: in.Subscription.Title, overage: in.Overage.Status == "ENABLED", unit: "credits"}
	e := in.entry()
	if e == nil {
		if len(in.Limits) == 0 {
			return a, nil
		}
		a.used, a.limit = in.Limits[0].Used, in.Limits[0].Limit
		a.reset = resetOf(now, in.Reset)
		return a, nil
	}
	if e.Plural != "" {
		a.unit = strings.ToLower(e.Plural)
	}
	a.used, a.limit = e.used(), e.limit()
	if t := e.Trial; t != nil && t.Trial == "ACTIVE" {
		a.used, a.limit = a.used+t.used(), a.limit+t.limit()
	}
	for _, b := range e.Bonuses {
		if b.Status == "ACTIVE" {
			a.used, a.limit = a.used+b.used(), a.limit+b.limit()
		}
	}
	a.reset = resetOf(now, e.Reset, in.Reset)
	return a, nil
}

// entry picks the numbers that count: those asked for, else credits, else the first.
func (u *usageAnswer) entry() *usageEntry {
	for _, want := range []string{"AGENTIC_REQUEST", "CREDIT"} {
		for i := range u.List {
			if u.List[i].Type == want {
				return &u.List[i]
			}
		}
	}
	if len(u.List) > 0 {
		return &u.List[0]
	}
	return u.One
}

// resetOf reads when the allowance begins anew: the first value that is a time, else the first of next month.
func resetOf(now time.Time, values ...jsontext.Value) time.Time {
	for _, v := range values {
		switch v.Kind() {
		case '0':
			var f float64
			if wire.ReadValue(v, "", &f) == nil && f > 0 && f < 1e11 {
				return time.Unix(int64(f), 0)
			}
		case '"':
			var s string
			if wire.ReadValue(v, "", &s) == nil {
				if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
					return t
				}
			}
		}
	}
	return nextMonth(now)
}
