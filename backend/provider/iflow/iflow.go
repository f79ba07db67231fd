// Package iflow has the driver for iFlow: a sign-in that gives an API key, and a chat service that nearly speaks OpenAI Chat. Its
// owner closed it on 2026-04-17; the driver is for private deployments of the same software, whose addresses are settings.
package iflow

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/provider/openaicompat"
	"patchbay/backend/wire/openai"
)

// What the service demands (router-for-me/CLIProxyAPI, 2026-04; AIClient-2-API, 2026-05).
const (
	host     = "https://iflow.cn"
	tokenURL = host + "/oauth/token"
	infoURL  = host + "/api/oauth/getUserInfo"
	baseURL  = "https://apis.iflow.cn/v1"
	// client and clientSecret are the public registration of iFlow's own program; the service has no other one.
	client       = "10009311001"
	clientSecret = "4Z3YjXycVsQvyGF1etiNlIBB4RsqSDtW"
	// userAgent is part of what each request is signed with; the service knows no other one.
	userAgent = "iFlow-Cli"
)

// Driver serves iFlow.
type Driver struct{ openaicompat.Driver }

var (
	_ provider.Driver           = Driver{}
	_ provider.Authenticator    = Driver{}
	_ provider.URLAuthenticator = Driver{}
	_ provider.FileReader       = Driver{}
)

const (
	closed  = "iFlow closed on 2026-04-17, and its logins and keys no longer work"
	instead = "Qoder, where its maker sends people, or a key of another provider: `patchbay providers presets` lists them"
)

var info = provider.Info{
	ID: "iflow", Name: "iFlow", Aliases: []string{"openai-iflow"}, Labels: []string{"iFlow"},
	Status: provider.StatusDiscontinued, Off: true, Instead: instead, BaseURL: baseURL, NoKey: true,
	Logins: []provider.Login{
		{Kind: provider.LoginBrowser, Label: "Sign in with iFlow", Text: closed + ". For a private deployment of it.",
			AuthURL: host + "/oauth", TokenURL: tokenURL, Client: client, ClientSecret: clientSecret, RedirectParam: "redirect",
			CallbackHost: "localhost", CallbackPath: "/oauth2callback", CallbackPorts: []int{11451, 8087}},
		{Kind: provider.LoginKey, Label: "API key"},
	},
	Files: []provider.CredentialFile{
		{Path: "~/.iflow/oauth_creds.json", Program: "iFlow CLI"},
		{Path: "~/.iflow/settings.json", Program: "iFlow CLI"},
	},
	Models: models(),
	Static: true, // the list was refused to many accounts
	Risk:   &provider.Risk{Level: "ended", Since: "2026-04-17", Text: closed + "."},
	Policy: provider.Policy{
		ShortWait: 5 * time.Second, MaxConcurrent: 1, // the second call at once is refused
		RefreshLead: 24 * time.Hour, // tokens live for about 48 hours
	},
}

func models() []canon.Model {
	var out []canon.Model
	for _, id := range strings.Fields("iflow-rome-30ba3b qwen3-coder-plus qwen3-max qwen3-max-preview qwen3-vl-plus qwen3-32b qwen3-235b " +
		"qwen3-235b-a22b-instruct qwen3-235b-a22b-thinking-2507 kimi-k2 kimi-k2-0905 kimi-k2-thinking kimi-k2.5 glm-4.6 glm-4.7 glm-5 " +
		"deepseek-v3 deepseek-v3.1 deepseek-v3.2 deepseek-r1 minimax-m2.1 minimax-m2.5") {
		m := canon.Model{ID: id, Tools: canon.Yes}
		if switches(id) != nil {
			m.Thinking = canon.Yes
		}
		if strings.Contains(id, "-vl-") {
			m.Images = canon.Yes
		}
		out = append(out, m)
	}
	return out
}

// New returns the driver.
func New() Driver { return newDriver(info) }

func newDriver(i provider.Info) Driver {
	return Driver{openaicompat.New(i).With(openaicompat.Special{
		NoList: true,
		// An empty list of tools breaks streams; its answers are irregular; thinking is switched per model, see switches.
		Quirks: []string{"rerender", "thinking=none", "no_developer_role", "dummy_tool", "error_on_empty_reply"},
		Sign:   sign, Options: options, Refine: refine, Answer: promoted,
		Again: func(e *apierror.Error) bool { return e.Upstream.Status == http.StatusNotAcceptable }, // the signature was too old
	})}
}

// sign signs a call: the text is the program's name, the session and the time, the key is the API key.
func sign(h http.Header, c provider.Credential, req *canon.Request) {
	conversation := ""
	if req != nil {
		conversation = req.Conversation
	}
	session, key := "session-"+uuid("session", conversation), c.Access.Reveal()
	stamp := strconv.FormatInt(time.Now().UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(userAgent + ":" + session + ":" + stamp))
	h.Set("User-Agent", userAgent)
	h.Set("Session-Id", session)
	h.Set("Conversation-Id", uuid("conversation", conversation))
	h.Set("X-Iflow-Timestamp", stamp)
	h.Set("X-Iflow-Signature", hex.EncodeToString(mac.Sum(nil)))
}

// uuid is the name of a conversation for the service: the same for the same conversation, and random without one.
func uuid(kind, conversation string) string {
	sum := sha256.Sum256([]byte("patchbay\x00" + kind + "\x00" + conversation))
	version := byte(0x80) // of one's own making, RFC 9562
	if conversation == "" {
		version = 0x40
		_, _ = rand.Read(sum[:16]) // never fails
	}
	sum[6], sum[8] = sum[6]&0x0f|version, sum[8]&0x3f|0x80
	s := hex.EncodeToString(sum[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// switches are the members that make a model think, which are others for each family; nil for one that has none.
func switches(model string) []canon.Edit {
	has := func(s string) bool { return strings.Contains(model, s) }
	edit := func(name, value string) canon.Edit { return canon.Edit{Name: name, Value: []byte(value)} }
	template := edit("chat_template_kwargs", `{"enable_thinking":true,"clear_thinking":false}`)
	typed := edit("thinking", `{"type":"enabled"}`)
	switch {
	case has("glm-5"):
		return []canon.Edit{template, edit("enable_thinking", "true"), typed}
	case has("glm-4.6"), has("glm-4.7"):
		return []canon.Edit{template}
	case has("deepseek"):
		return []canon.Edit{edit("thinking_mode", "true"), edit("reasoning", "true")}
	case has("kimi-k2.5"), has("mimo"):
		return []canon.Edit{typed}
	case has("minimax"):
		return []canon.Edit{edit("reasoning_split", "true")}
	case has("thinking"):
		return []canon.Edit{edit("thinking_mode", "true")}
	}
	return nil
}

func options(o *openai.Options, req *canon.Request) {
	if t := bytes.TrimSpace(req.Body.Get("tools")); len(t) > 1 && t[0] == '[' && len(bytes.TrimSpace(t[1:])) == 1 {
		o.ForceConvert = true // an empty list breaks streams, and only a body that is written anew has none
	}
	if req.Reasoning.Mode == canon.ReasonOff || req.Reasoning.Mode == "" && req.Reasoning.Effort == "" && req.Reasoning.Budget == nil {
		return // the model does as it likes
	}
	o.Extra = append(slices.Clip(o.Extra), switches(req.Model)...)
}

// refine says what an error means here. Most of them come with status 200 and the number in a text.
func refine(e *apierror.Error, _ http.Header, _ provider.Credential) {
	blocked := strings.Contains(strings.ToLower(e.Msg), "blocked")
	switch status := e.Upstream.Status; {
	case status == 449:
		e.Kind, e.Scope = apierror.RateLimited, "*"
		e.RetryAfter = max(e.RetryAfter, 2*time.Second) // one call at a time
	case status == 434 && !blocked, status == 439:
		e.Kind = apierror.AuthExpired // the key changes with a renewal
	case status == 434, status == 438:
		e.Kind, e.Msg = apierror.AccountBlocked, e.Msg+"; "+closed
	case status == 435:
		e.Kind = apierror.ModelNotFound
	case status == http.StatusNotAcceptable:
		e.Kind, e.Msg = apierror.AccountBlocked, "iFlow refused the request's signature; check this machine's clock. "+closed
	case status > 430 && status < 500 && status != http.StatusUnavailableForLegalReasons:
		e.Kind = apierror.Upstream5xx // a number that nobody has explained
	}
}

// promoted makes thoughts the answer where a model gave nothing else: clients would see nothing (seen with GLM-5).
func promoted(s canon.Stream) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		var thoughts strings.Builder
		thought := map[int]bool{} // parts that are thoughts
		said, next := false, 0
		for ev, err := range s {
			if err == nil {
				next = max(next, ev.Index+1)
				switch ev.Kind {
				case canon.KindPartStart:
					thought[ev.Index] = ev.Part.Type == canon.PartReasoning
					said = said || !thought[ev.Index]
				case canon.KindDelta:
					if ev.Delta == canon.DeltaText && thought[ev.Index] && !said && thoughts.Len() < 1<<20 {
						thoughts.WriteString(ev.Text)
					}
				case canon.KindFinish:
					if !said && thoughts.Len() > 0 && ev.Finish.Reason == canon.FinishStop && !say(thoughts.String(), next, yield) {
						return
					}
				}
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// say yields a text as a part of its own.
func say(text string, index int, yield func(canon.Event, error) bool) bool {
	whole := canon.Part{Type: canon.PartText, Text: text}
	return yield(canon.Event{Kind: canon.KindPartStart, Index: index, Part: &canon.Part{Type: canon.PartText}, More: true}, nil) &&
		yield(canon.Event{Kind: canon.KindDelta, Index: index, Delta: canon.DeltaText, Text: text, More: true}, nil) &&
		yield(canon.Event{Kind: canon.KindPartEnd, Index: index, Part: &whole, More: true}, nil)
}
