package simulator

import (
	"net/http"
	"strings"
	"time"
)

// newQwen is the service behind Qwen Code's sign-in: a device login with PKCE,
// and OpenAI Chat with one system message. Facts: qwen-code 0.15.10.
func newQwen(s *Server) http.Handler {
	signIn := NewOAuth(OAuthOptions{
		Client: "f0304373b74a44d2b584a3fb70ca9e56", PKCE: "required", Life: 6 * time.Hour, DeviceLife: 15 * time.Minute, DeviceInterval: time.Second,
		Now: s.opts.Now, DeviceURL: "/authorize",
	})
	s.signIns[Qwen] = signIn
	d := &openAI{s: s, name: Qwen, models: []string{"coder-model", "qwen3-coder-plus", "qwen3-coder-flash"}}
	d.quirks = quirks{single: true, noList: true, refuse: qwenRefuse, more: qwenRefuses, admit: func(x *exchange) bool {
		if _, ok := signIn.Access(x.key); ok {
			return true
		}
		x.refuse(&failure{kind: failUnauthorized, code: "none"})
		return false
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/oauth2/device/code", func(w http.ResponseWriter, r *http.Request) { qwenCode(signIn, s, w, r) })
	mux.HandleFunc("POST /api/v1/oauth2/token", func(w http.ResponseWriter, r *http.Request) { qwenToken(signIn, w, r) })
	mux.HandleFunc("/authorize", signIn.DevicePage)
	mux.Handle("/", d.handler())
	return mux
}

// qwenRefuses is what the chat service does not take besides late system
// messages.
func qwenRefuses(o map[string]any) string {
	switch choice := o["tool_choice"]; {
	case o["reasoning_effort"] != nil:
		return "reasoning_effort is not a parameter"
	case choice != nil && choice != "auto" && choice != "none":
		return "The tool_choice parameter does not support being set to required or object in thinking mode"
	}
	return ""
}

// isForm reports a body of the kind that the token endpoints demand.
func isForm(w http.ResponseWriter, r *http.Request) bool {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return true
	}
	writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": "The body must be a form."})
	return false
}

// qwenCode gives a device code out.
func qwenCode(o *OAuth, s *Server, w http.ResponseWriter, r *http.Request) {
	if !isForm(w, r) {
		return
	}
	p, err := readParams(r)
	switch {
	case err != nil, p["client_id"] != o.opts.Client, p["code_challenge"] == "", p["code_challenge_method"] != "S256", !strings.Contains(p["scope"], "model.completion"):
		o.WriteError(w, refuse(http.StatusBadRequest, "invalid_request", "client_id, scope and an S256 code_challenge are needed"))
		return
	}
	dev := o.BeginDevice(p["code_challenge"])
	page := s.LoginURL(Qwen) + "/authorize"
	writeJSON(w, http.StatusOK, obj("device_code", dev.Device, "user_code", dev.UserCode, "verification_uri", page,
		"verification_uri_complete", page+"?user_code="+dev.UserCode+"&client=qwen-code", "expires_in", int(dev.Life.Seconds()), "interval", int(dev.Interval.Seconds())))
}

// qwenToken is the token endpoint. Statuses say as much as words: 400 goes on
// waiting, 429 waits longer, 401 is over.
func qwenToken(o *OAuth, w http.ResponseWriter, r *http.Request) {
	if !isForm(w, r) {
		return
	}
	trouble := o.NextTrouble()
	if o.WriteTrouble(w, trouble) {
		return
	}
	p, err := readParams(r)
	if err != nil || p["client_id"] != o.opts.Client {
		o.WriteError(w, refuse(http.StatusBadRequest, "invalid_client", "no such client"))
		return
	}
	var g OAuthGrant
	var e *OAuthError
	switch p["grant_type"] {
	case "urn:ietf:params:oauth:grant-type:device_code":
		if g, e = o.PollDevice(p["device_code"], p["code_verifier"]); e != nil {
			e.Status = map[string]int{"slow_down": http.StatusTooManyRequests, "expired_token": http.StatusUnauthorized, "invalid_grant": http.StatusUnauthorized}[e.Code]
		}
	case "refresh_token":
		g, e = o.RedeemRefresh(p["refresh_token"])
	default:
		e = refuse(http.StatusBadRequest, "unsupported_grant_type", "no such grant")
	}
	switch {
	case e != nil:
		if e.Status == 0 {
			e.Status = http.StatusBadRequest
		}
		o.WriteError(w, e)
	case trouble == TroubleDropped:
		panic(http.ErrAbortHandler) // cuts the connection
	default:
		a := g.Answer()
		a["status"], a["resource_url"] = "success", "portal.qwen.ai"
		writeJSON(w, http.StatusOK, a)
	}
}

// qwenRefuse writes a failure as DashScope does.
func qwenRefuse(f *failure, e openAIError) (int, any) {
	write := func(status int, typ, code, message string) (int, any) {
		return status, obj("error", obj("message", message, "type", typ, "param", nil, "code", code), "request_id", "sim-request")
	}
	switch f.kind {
	case failUnauthorized:
		return write(http.StatusUnauthorized, "invalid_request_error", "invalid_api_key", "invalid access token or token expired")
	case failQuota:
		return write(http.StatusForbidden, "insufficient_quota", "insufficient_quota", "Free allocated quota exceeded.")
	case failBilling:
		return write(http.StatusBadRequest, "invalid_request_error", "Arrearage", "Access denied, please make sure your account is in good standing.")
	case failRate:
		return write(http.StatusTooManyRequests, "limit_requests", "limit_requests", "Requests rate limit exceeded, please try again later.")
	case failInvalid:
		return write(http.StatusBadRequest, "invalid_request_error", "invalid_parameter_error", "<400> InternalError.Algo.InvalidParameter: "+e.message)
	case failNotFound:
		return write(http.StatusNotFound, "invalid_request_error", "model_not_found", "The model `"+f.model+"` does not exist.")
	}
	return write(e.status, e.kind, e.code, e.message)
}
