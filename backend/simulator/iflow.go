package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// iflow is iFlow's service: a sign-in that gives a key, and OpenAI Chat with
// signed requests, errors inside status 200 and irregular streams. Facts:
// router-for-me/CLIProxyAPI, 2026-04; AIClient-2-API, 2026-05.
type iflow struct {
	s      *Server
	signIn *OAuth

	mu   sync.Mutex // guards what follows
	keys map[string]string
	busy map[string]chan struct{} // keys that are being answered: one call at a time
}

func newIFlow(s *Server) http.Handler {
	f := &iflow{s: s, keys: map[string]string{}, busy: map[string]chan struct{}{}}
	f.signIn = NewOAuth(OAuthOptions{
		Client: "10009311001", Secret: "4Z3YjXycVsQvyGF1etiNlIBB4RsqSDtW", Life: 48 * time.Hour, RedirectParam: "redirect", Now: s.opts.Now,
		Users: []OAuthUser{{ID: "u-ann", Email: "ann@example.test"}, {ID: "u-phone", Email: "138****0000"}},
	})
	s.signIns[IFlow], s.tokens[IFlow] = f.signIn, f.key
	d := &openAI{s: s, name: IFlow, models: []string{"qwen3-coder-plus", "glm-4.7", "glm-5", "deepseek-v3.2", "kimi-k2.5", "minimax-m2.5"}}
	d.quirks = quirks{noList: true, refuse: iflowRefuse, admit: f.admit, serve: f.serve, more: iflowRefuses, tidy: func(p *plan) {
		p.d.noSpace, p.d.noEnd = true, true
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth", f.page)
	mux.HandleFunc("POST /oauth/token", f.token)
	mux.HandleFunc("GET /api/oauth/getUserInfo", f.userInfo)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusBadRequest, obj("status", "400", "msg", "Bad request", "body", nil))
	})
	mux.Handle("/", d.handler())
	return mux
}

// page is the sign-in page, whose parameters are its own.
func (f *iflow) page(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != f.signIn.opts.Client || q.Get("loginMethod") != "phone" || q.Get("type") != "phone" || q.Get("state") == "" || !f.signIn.allowed(q.Get("redirect")) {
		oauthPage{Title: "This sign-in cannot work", Text: "loginMethod, type, redirect, state or client_id is missing or wrong"}.write(w, http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodGet {
		oauthPage{Title: "Sign in", Text: "A program on this machine asks for access to your account.", Buttons: f.signIn.buttons()}.write(w, http.StatusOK)
		return
	}
	f.signIn.Decide(w, r, q.Get("redirect"), q.Get("state"), "")
}

// token wants the secret in the header and in the form.
func (f *iflow) token(w http.ResponseWriter, r *http.Request) {
	o := f.signIn
	if !isForm(w, r) {
		return
	}
	p, err := readParams(r)
	id, secret, ok := r.BasicAuth()
	if err != nil || !ok || id != o.opts.Client || secret != o.opts.Secret || p["client_id"] != id || p["client_secret"] != secret {
		o.WriteError(w, refuse(http.StatusUnauthorized, "invalid_client", "The client's secret belongs into the header and into the form."))
		return
	}
	trouble := o.NextTrouble()
	if trouble == TroubleError {
		writeJSON(w, http.StatusOK, obj("success", false, "code", "500", "message", "当前访问用户太多，请稍后再试", "data", nil))
		return
	}
	if o.WriteTrouble(w, trouble) {
		return
	}
	var g OAuthGrant
	var e *OAuthError
	switch p["grant_type"] {
	case "authorization_code":
		g, e = o.RedeemCode(p["code"], p["redirect_uri"], "")
	case "refresh_token":
		g, e = o.RedeemRefresh(p["refresh_token"])
	default:
		e = refuse(http.StatusBadRequest, "unsupported_grant_type", "no such grant")
	}
	switch {
	case e != nil:
		o.WriteError(w, e)
	case trouble == TroubleDropped:
		panic(http.ErrAbortHandler) // cuts the connection
	default:
		writeJSON(w, http.StatusOK, g.Answer())
	}
}

// key makes the key of a login. It is another one after each renewal.
func (f *iflow) key(g OAuthGrant) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := "sk-iflow-" + strings.TrimPrefix(g.Access, f.signIn.opts.AccessPrefix)
	f.keys[key] = g.Access
	return key
}

// userInfo tells who signed in, and the key that calls are made with.
func (f *iflow) userInfo(w http.ResponseWriter, r *http.Request) {
	access := r.URL.Query().Get("accessToken")
	u, ok := f.signIn.Access(access)
	if !ok {
		writeJSON(w, http.StatusOK, obj("success", false, "code", "401", "message", "token invalid", "data", nil))
		return
	}
	email, phone := u.Email, ""
	if !strings.Contains(email, "@") {
		email, phone = "", u.Email
	}
	writeJSON(w, http.StatusOK, obj("success", true, "data", obj("apiKey", f.key(OAuthGrant{Access: access}), "email", email, "phone", phone)))
}

// admit checks the key and the signature: over the program's name, the session
// and the time, which may be five minutes off.
func (f *iflow) admit(x *exchange) bool {
	h := x.r.Header
	f.mu.Lock()
	access := f.keys[x.key]
	f.mu.Unlock()
	if _, ok := f.signIn.Access(access); !ok {
		x.refuse(&failure{kind: failUnauthorized})
		return false
	}
	mac := hmac.New(sha256.New, []byte(x.key))
	mac.Write([]byte(h.Get("User-Agent") + ":" + h.Get("Session-Id") + ":" + h.Get("X-Iflow-Timestamp")))
	ms, err := strconv.ParseInt(h.Get("X-Iflow-Timestamp"), 10, 64)
	off := x.s.opts.Now().Sub(time.UnixMilli(ms)).Abs()
	if err != nil || off > 5*time.Minute || h.Get("User-Agent") != "iFlow-Cli" || !strings.HasPrefix(h.Get("Session-Id"), "session-") || h.Get("Conversation-Id") == "" ||
		h.Get("X-Iflow-Signature") != hex.EncodeToString(mac.Sum(nil)) {
		x.s.update(func() { x.rec.Refused = "signature" })
		x.w.WriteHeader(http.StatusNotAcceptable)
		return false
	}
	return true
}

// ending is how long a call may take to end after its client has all of it.
const ending = 100 * time.Millisecond

// serve lets one call of a key through at a time.
func (f *iflow) serve(x *exchange) func() {
	for {
		f.mu.Lock()
		before := f.busy[x.key]
		if before == nil {
			done := make(chan struct{})
			f.busy[x.key] = done
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				delete(f.busy, x.key)
				close(done)
			}
		}
		f.mu.Unlock()
		select {
		case <-before:
		case <-time.After(ending):
			x.refuse(&failure{kind: failRate})
			return nil
		}
	}
}

// iflowRefuses is what breaks its streams.
func iflowRefuses(o map[string]any) string {
	if tools, ok := o["tools"].([]any); ok && len(tools) == 0 {
		return "tools must not be empty"
	}
	return ""
}

// iflowCodes are the numbers that stand in a text in an answer of status 200.
var iflowCodes = map[string][2]string{
	failRate: {"449", "You exceeded your current rate limit"}, failUnauthorized: {"434", "Invalid apiKey"},
	failForbidden: {"434", "Access to the current AK has been blocked due to unauthorized requests"}, failLocation: {"438", "unauthorized requests"},
	failNotFound: {"435", "Model not support"}, failQuota: {"449", "You exceeded your current rate limit"}, failBilling: {"439", "token expired"},
	failServer: {"500", "internal error"}, failOverload: {"503", "busy"}, failTimeout: {"504", "timeout"},
}

func iflowRefuse(f *failure, e openAIError) (int, any) {
	c, ok := iflowCodes[f.kind]
	switch {
	case f.kind == failServer && f.status != 0: // as usual, by HTTP
		return f.status, obj("error", obj("message", e.message))
	case !ok:
		return e.status, obj("error", obj("message", e.message, "type", e.kind, "code", e.code))
	}
	return http.StatusOK, obj("status", c[0], "msg", c[1], "body", nil)
}
