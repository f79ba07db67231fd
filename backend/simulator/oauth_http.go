package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type oauthPage struct {
	Title, Text string
	Buttons     []oauthButton
	Input       string // name of a text field, "" = none
	Value       string
}

type oauthButton struct{ Value, Label string }

var oauthTemplate = template.Must(template.New("oauth").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:4rem auto;padding:0 1rem}button{font:inherit;display:block;width:100%;margin:.5rem 0;padding:.6rem}
.sim{background:#fff3c4;color:#5c4400;padding:.3rem .6rem;border-radius:.3rem}</style></head>
<body><p class="sim">SIMULATED: no service, no account. Nothing leaves this machine.</p><h1>{{.Title}}</h1><p>{{.Text}}</p>
{{if .Buttons}}<form method="post">{{if .Input}}<p><input name="{{.Input}}" value="{{.Value}}" aria-label="code" autofocus></p>{{end}}
{{range .Buttons}}<button name="user" value="{{.Value}}">{{.Label}}</button>{{end}}</form>{{end}}</body></html>
`))

func (p oauthPage) write(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = oauthTemplate.Execute(w, p) // the browser may be gone
}

func (o *OAuth) buttons() []oauthButton {
	var out []oauthButton
	for _, u := range o.opts.Users {
		out = append(out, oauthButton{u.Email, "Sign in as " + u.Email})
	}
	return append(out, oauthButton{"deny", "Refuse"})
}

// Authorize is the sign-in page. A click sends the browser to the redirect, with a code or with access_denied.
func (o *OAuth) Authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect := q.Get(o.opts.RedirectParam)
	if why := o.wrong(q, redirect); why != "" {
		oauthPage{Title: "This sign-in cannot work", Text: why}.write(w, http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodGet {
		oauthPage{Title: "Sign in", Text: "A program on this machine asks for access to your account.", Buttons: o.buttons()}.write(w, http.StatusOK)
		return
	}
	o.Decide(w, r, redirect, q.Get("state"), q.Get("code_challenge"))
}

// wrong says what is wrong with the address of the page.
func (o *OAuth) wrong(q url.Values, redirect string) string {
	switch {
	case o.opts.Client != "" && q.Get("client_id") != o.opts.Client:
		return "The OAuth client was not found."
	case q.Get("response_type") != "code":
		return "Missing required parameter: response_type=code"
	case !o.allowed(redirect):
		return "redirect_uri_mismatch: " + redirect
	case q.Get("state") == "":
		return "Missing required parameter: state"
	case o.opts.PKCE == "required" && q.Get("code_challenge") == "":
		return "Missing required parameter: code_challenge"
	case q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "S256":
		return "code_challenge_method must be S256"
	}
	return ""
}

// Decide carries out the click on a sign-in page: for pages with an address in a vendor's own form.
func (o *OAuth) Decide(w http.ResponseWriter, r *http.Request, redirect, state, challenge string) {
	back := url.Values{"state": {state}}
	who := r.FormValue("user")
	if code, ok := o.NewCode(who, redirect, challenge); ok {
		back.Set("code", code)
	} else {
		back.Set("error", "access_denied")
		back.Set("error_description", "The person refused the access.")
	}
	glue := "?"
	if strings.Contains(redirect, "?") {
		glue = "&"
	}
	http.Redirect(w, r, redirect+glue+back.Encode(), http.StatusFound)
}

// HostedPage is a redirect that shows the code for pasting.
func (o *OAuth) HostedPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	text := "Copy this code and paste it into the program: " + q.Get("code") + "#" + q.Get("state")
	if q.Get("code") == "" {
		text = "The sign-in was refused: " + q.Get("error")
	}
	oauthPage{Title: "Your code", Text: text}.write(w, http.StatusOK)
}

// Token is the token endpoint. It takes forms and JSON objects.
func (o *OAuth) Token(w http.ResponseWriter, r *http.Request) {
	p, err := readParams(r)
	if err != nil {
		o.WriteError(w, refuse(http.StatusBadRequest, "invalid_request", err.Error()))
		return
	}
	trouble := o.NextTrouble()
	if o.WriteTrouble(w, trouble) {
		return
	}
	if e := o.checkClient(r, p); e != nil {
		o.WriteError(w, e)
		return
	}
	var g OAuthGrant
	var e *OAuthError
	switch p["grant_type"] {
	case "authorization_code":
		g, e = o.RedeemCode(p["code"], p["redirect_uri"], p["code_verifier"])
	case "refresh_token":
		g, e = o.RedeemRefresh(p["refresh_token"])
	case "urn:ietf:params:oauth:grant-type:device_code":
		g, e = o.PollDevice(p["device_code"], p["code_verifier"])
	default:
		e = refuse(http.StatusBadRequest, "unsupported_grant_type", "no such grant: "+p["grant_type"])
	}
	if e != nil {
		o.WriteError(w, e)
		return
	}
	if trouble == TroubleDropped {
		panic(http.ErrAbortHandler) // cuts the connection
	}
	writeJSON(w, http.StatusOK, g.Answer())
}

// Answer is the standard form of a grant.
func (g OAuthGrant) Answer() map[string]any {
	out := map[string]any{"access_token": g.Access, "token_type": "Bearer", "expires_in": int(g.Life / time.Second), "scope": "all"}
	if g.Refresh != "" {
		out["refresh_token"] = g.Refresh
	}
	if g.ID != "" {
		out["id_token"] = g.ID
	}
	return out
}

// WriteTrouble writes what a trouble looks like to the client, and reports false for none and for TroubleDropped, which
// comes after the work: cut the connection with panic(http.ErrAbortHandler) then.
func (o *OAuth) WriteTrouble(w http.ResponseWriter, t OAuthTrouble) bool {
	switch t {
	case TroubleServer:
		writeJSON(w, http.StatusInternalServerError, map[string]any{"error": "internal_failure", "error_description": "Try again later."})
	case TroubleBusy:
		w.Header().Set("Retry-After", "1")
		writeJSON(w, http.StatusTooManyRequests, map[string]any{"error": "rate_limited"})
	case TroublePage:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body>Please log in to the network</body></html>") // the client may be gone
	case TroubleError:
		writeJSON(w, http.StatusOK, map[string]any{"success": false, "error": "server_busy", "message": "too many users"})
	case TroubleNoToken:
		writeJSON(w, http.StatusOK, map[string]any{"success": true})
	case TroubleRevoked:
		o.WriteError(w, refuse(http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked."))
	case TroubleForeign:
		o.WriteError(w, refuse(http.StatusUnauthorized, "unauthorized_client", "Unauthorized"))
	default:
		return false
	}
	return true
}

// WriteError writes a refusal in the form of the options.
func (o *OAuth) WriteError(w http.ResponseWriter, e *OAuthError) {
	if o.opts.Objects {
		writeJSON(w, e.Status, map[string]any{"error": map[string]any{"message": e.Text, "type": "invalid_request_error", "param": nil, "code": e.Code}})
		return
	}
	writeJSON(w, e.Status, map[string]any{"error": e.Code, "error_description": e.Text})
}

// checkClient checks the client's id and secret, from the header or from the body.
func (o *OAuth) checkClient(r *http.Request, p map[string]string) *OAuthError {
	id, secret := p["client_id"], p["client_secret"]
	if user, pass, ok := r.BasicAuth(); ok {
		id, _ = url.QueryUnescape(user)
		secret, _ = url.QueryUnescape(pass)
	}
	if o.opts.Client != "" && id != o.opts.Client {
		return refuse(http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
	}
	if o.opts.Secret != "" && secret != o.opts.Secret {
		return refuse(http.StatusUnauthorized, "invalid_client", "Unauthorized")
	}
	return nil
}

// readParams reads a form or a JSON object of strings.
func readParams(r *http.Request) (map[string]string, error) {
	out := map[string]string{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var m map[string]any
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&m); err != nil {
			return nil, errors.New("the body is no JSON object")
		}
		for k, v := range m {
			out[k] = fmt.Sprint(v)
		}
		return out, nil
	}
	if err := r.ParseForm(); err != nil {
		return nil, errors.New("the body is no form")
	}
	for k := range r.PostForm {
		out[k] = r.PostForm.Get(k)
	}
	return out, nil
}

// UserInfo tells who an access token belongs to.
func (o *OAuth) UserInfo(w http.ResponseWriter, r *http.Request) {
	u, ok := o.Access(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if !ok {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": map[string]any{"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"id": u.ID, "email": u.Email, "verified_email": true, "name": u.Name})
}

// Click opens a sign-in page as a browser would, clicks on a user ("deny" refuses) and follows the browser to where it ends:
// the address, and the page's text. An address that nobody answers at is no error: its text is empty.
func Click(ctx context.Context, client *http.Client, page, user string) (*url.URL, string, error) {
	form := url.Values{"user": {user}}
	if u, err := url.Parse(page); err == nil && u.Query().Has("user_code") {
		form.Set("user_code", u.Query().Get("user_code"))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, page, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	last := req.URL
	own := *client
	own.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		last = r.URL
		return nil
	}
	resp, err := own.Do(req)
	if err != nil {
		if last != req.URL && ctx.Err() == nil {
			return last, "", nil
		}
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return last, string(body), err
}
