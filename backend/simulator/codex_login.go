package simulator

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// codexDeviceRedirect is the redirect of codes that come by device.
const codexDeviceRedirect = "https://auth.openai.com/deviceauth/callback"

// codexDevice is a device login under way.
type codexDevice struct{ userCode string }

// authorizePage is the sign-in page; it wants the parameters of the service's
// own programs besides the usual ones.
func (d *codex) authorizePage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for _, name := range []string{"id_token_add_organizations", "codex_cli_simplified_flow"} {
		if q.Get(name) != "true" {
			oauthPage{Title: "This sign-in cannot work", Text: "Missing required parameter: " + name}.write(w, http.StatusBadRequest)
			return
		}
	}
	if !strings.Contains(" "+q.Get("scope")+" ", " offline_access ") || q.Get("originator") == "" {
		oauthPage{Title: "This sign-in cannot work", Text: "scope or originator is missing"}.write(w, http.StatusBadRequest)
		return
	}
	d.signIn.Authorize(w, r)
}

// token is the token endpoint: forms for codes, forms or JSON for renewals. A
// refresh token that comes a second time ends its login with 401.
func (d *codex) token(w http.ResponseWriter, r *http.Request) {
	o := d.signIn
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
		if g, e = o.RedeemRefresh(p["refresh_token"]); e != nil {
			e.Status = http.StatusUnauthorized
			if e.Code == "invalid_grant" {
				e.Code = "refresh_token_invalidated"
			}
		}
	default:
		e = refuse(http.StatusBadRequest, "unsupported_grant_type", "no such grant: "+p["grant_type"])
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

// userCode gives a device code out.
func (d *codex) userCode(x *exchange) {
	if x.blocked(&turn{}) {
		return
	}
	o, f := x.object()
	if id, _ := o["client_id"].(string); f != nil || id != d.signIn.opts.Client {
		d.detail(x, http.StatusBadRequest, "client_id is missing or not known")
		return
	}
	dev := d.signIn.BeginDevice("")
	d.s.update(func() { d.devices[dev.Device] = codexDevice{dev.UserCode} })
	writeJSON(x.w, http.StatusOK, obj("device_auth_id", dev.Device, "user_code", dev.UserCode, "interval", strconv.Itoa(int(dev.Interval.Seconds()))))
}

// devicePoll answers 403 until the person is through, and then with a code and
// both halves of its PKCE pair.
func (d *codex) devicePoll(x *exchange) {
	if x.blocked(&turn{}) {
		return
	}
	o, _ := x.object()
	id, _ := o["device_auth_id"].(string)
	code, _ := o["user_code"].(string)
	d.s.mu.Lock()
	known := d.devices[id]
	d.s.mu.Unlock()
	if known.userCode == "" || known.userCode != code {
		d.detail(x, http.StatusBadRequest, "unknown device code")
		return
	}
	g, e := d.signIn.PollDevice(id, "")
	switch {
	case e != nil && e.Code == "expired_token":
		d.signIn.WriteError(x.w, e)
	case e != nil: // also for a person who refused: the service does not say
		d.detail(x, http.StatusForbidden, "authorization pending")
	default:
		verifier := fmt.Sprintf("sim-verifier-%s-0123456789012345678901234567890", id)
		sum := sha256.Sum256([]byte(verifier))
		challenge := base64.RawURLEncoding.EncodeToString(sum[:])
		code, _ := d.signIn.NewCode(g.User.Email, codexDeviceRedirect, challenge) // the user exists: the device has one
		writeJSON(x.w, http.StatusOK, obj("authorization_code", code, "code_challenge", challenge, "code_verifier", verifier))
	}
}
