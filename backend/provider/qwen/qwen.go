// Package qwen has the driver for Qwen Code's sign-in (provider qwen-code): a device login and a chat service that speaks OpenAI
// Chat. Its owner ended it for the public on 2026-04-15: people still can sign in, and answers are refused. It is here for those
// whose entitlement goes on; everybody else is told what to use instead.
package qwen

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/provider/openaicompat"
	"patchbay/backend/wire/openai"
)

// What the service demands, as Qwen Code 0.15.10 sends it.
const (
	host    = "https://chat.qwen.ai"
	codeURL = host + "/api/v1/oauth2/device/code"
	// client is the public registration of Qwen Code; the service has no other one.
	client = "f0304373b74a44d2b584a3fb70ca9e56"
	// baseURL is where calls go if a login names no address of its own.
	baseURL = "https://dashscope.aliyuncs.com/compatible-mode/v1"
)

// Driver serves Qwen Code's sign-in.
type Driver struct{ openaicompat.Driver }

var (
	_ provider.Driver              = Driver{}
	_ provider.Authenticator       = Driver{}
	_ provider.DeviceAuthenticator = Driver{}
	_ provider.FileReader          = Driver{}
)

// instead is what people are told to use.
const instead = "a key of the Qwen Coding Plan (qwen-coding-plan) or of DashScope (dashscope-intl and its like)"

const (
	ended = "Qwen ended this sign-in on 2026-04-15: it still gives out tokens, and refuses them"
	use   = ended + ". Use " + instead
)

var info = provider.Info{
	ID: "qwen-code", Name: "Qwen Code", Aliases: []string{"openai-qwen-oauth"}, Labels: []string{"Qwen OAuth"},
	Status: provider.StatusDiscontinued, Off: true, Instead: instead, BaseURL: baseURL, NoKey: true,
	KeyURL: "https://modelstudio.console.alibabacloud.com/?tab=coding-plan",
	Logins: []provider.Login{
		{Kind: provider.LoginDevice, Label: "Sign in with Qwen", Text: ended + ".", TokenURL: host + "/api/v1/oauth2/token", Client: client, PKCE: true,
			Scopes: []string{"openid", "profile", "email", "model.completion"}},
		{Kind: provider.LoginKey, Label: "Access token"},
	},
	Files: []provider.CredentialFile{{Path: "~/.qwen/oauth_creds.json", Program: "Qwen Code", Env: "QWEN_HOME", Base: "~/.qwen"}},
	// As of 2026-04; the service has no list.
	Models: []canon.Model{
		{ID: "coder-model", Name: "Qwen coder", Context: 1_000_000, MaxOutput: 65_536, Tools: canon.Yes, Images: canon.Yes, Thinking: canon.Yes},
		{ID: "qwen3-coder-plus", Context: 1_000_000, MaxOutput: 65_536, Tools: canon.Yes, Images: canon.No},
		{ID: "qwen3-coder-flash", Context: 1_000_000, MaxOutput: 65_536, Tools: canon.Yes, Images: canon.No},
	},
	Static: true,
	Risk:   &provider.Risk{Level: "ended", Since: "2026-04-15", Text: ended + "."},
	Policy: provider.Policy{Repeats: 2, ShortWait: 5 * time.Second},
}

// New returns the driver.
func New() Driver { return newDriver(info) }

func newDriver(i provider.Info) Driver {
	return Driver{openaicompat.New(i).With(openaicompat.Special{
		NoList: true,
		// One system message, the first; arguments of calls that come under one index; garbage in a stream without tools; answers
		// that take long only arrive as a stream (qwen-code 0.15.10; CLIProxyAPI, 2026-04).
		Quirks: []string{"one_system", "cache_control", "thinking=enable_thinking", "max_tokens=8192", "no_forced_tools", "dummy_tool", "no_developer_role",
			"force_stream", "rerender"},
		Base: base,
		Sign: func(h http.Header, _ provider.Credential, _ *canon.Request) {
			h.Set("X-Dashscope-Cachecontrol", "enable")
		},
		Options: options,
		Refine:  refine,
	})}
}

// extraResource is the member of a credential's Extra that holds what the service calls resource_url.
const extraResource = "resource_url"

// base returns where a login's calls go. The address comes from an answer or from a file and decides where the token goes, so
// only the vendor's hosts count.
func base(c provider.Credential) string {
	raw := strings.TrimRight(strings.TrimSpace(c.Extra[extraResource]), "/")
	if raw == "" {
		return ""
	}
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	name := strings.ToLower(u.Hostname())
	for _, own := range []string{"qwen.ai", "aliyuncs.com"} {
		if name == own || strings.HasSuffix(name, "."+own) {
			if !strings.HasSuffix(raw, "/v1") {
				raw += "/v1"
			}
			return raw
		}
	}
	return ""
}

// seeing are the beginnings of models that look at pictures in detail only when told (Qwen Code 0.15.10).
var seeing = []string{"coder-model", "qwen-vl", "qwen3-vl-plus", "qwen3.5-plus"}

func options(o *openai.Options, req *canon.Request) {
	for _, s := range seeing {
		if strings.HasPrefix(req.Model, s) {
			o.Extra = append(o.Extra, canon.Edit{Name: "vl_high_resolution_images", Value: []byte("true")})
		}
	}
}

// fresh is for how long a login counts as just renewed: one that is refused then is not refused for its age.
const fresh = 5 * time.Minute

// beijing is the time of the service's days.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// refine says what a refusal means here.
func refine(e *apierror.Error, h http.Header, c provider.Credential) {
	low := strings.ToLower(e.Msg + " " + e.Upstream.Code)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(low, w) {
				return true
			}
		}
		return false
	}
	status := e.Upstream.Status
	switch {
	case (status == http.StatusForbidden || status == http.StatusTooManyRequests) &&
		has("insufficient_quota", "quota_exceeded", "free allocated quota exceeded", "quota exceeded"):
		e.Kind, e.Scope = apierror.QuotaExhausted, "*"
		if h.Get("Retry-After") == "" {
			e.RetryAfter = untilTomorrow(time.Now())
		}
	case status == http.StatusBadRequest && has("arrearage"):
		e.Kind, e.RetryAfter = apierror.AccountBlocked, 0
		e.Action, e.Link = "pay the bill at Alibaba Cloud, then switch the account on again", "https://usercenter2-intl.aliyun.com/"
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.RetryAfter = 0
		if e.Kind = apierror.AuthExpired; !c.Issued.IsZero() && time.Since(c.Issued) < fresh {
			e.Kind, e.Msg = apierror.AccountBlocked, use
		}
	case status == http.StatusGatewayTimeout && e.Kind == apierror.Timeout:
		e.Kind = apierror.Upstream5xx // tried again like every failure of the service
	}
}

// untilTomorrow returns how long the service's day still lasts.
func untilTomorrow(now time.Time) time.Duration {
	y, m, d := now.In(beijing).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, beijing).Sub(now)
}
