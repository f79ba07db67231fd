package simulator

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

type oauthDevice struct {
	userCode  string
	challenge string
	end       time.Time
	interval  time.Duration
	polled    time.Time
	login     *oauthLogin // set by approval
	denied    bool
	used      bool
}

// OAuthDevice is a device code that was given out.
type OAuthDevice struct {
	Device, UserCode string
	Life, Interval   time.Duration
}

// BeginDevice gives a device code out; challenge may be empty.
func (o *OAuth) BeginDevice(challenge string) OAuthDevice {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.serial++
	d := OAuthDevice{
		Device: fmt.Sprintf("sim-device-%06d", o.serial), UserCode: fmt.Sprintf("SIM%c-%04d", 'A'+o.serial%26, o.serial),
		Life: o.opts.DeviceLife, Interval: o.opts.DeviceInterval,
	}
	o.devices[d.Device] = &oauthDevice{userCode: d.UserCode, challenge: challenge, end: o.now().Add(d.Life), interval: d.Interval}
	return d
}

// Approve lets a user code through for a user; it reports false for a code that nobody waits with.
func (o *OAuth) Approve(userCode, email string) bool {
	u, ok := o.user(email)
	return o.settle(userCode, func(d *oauthDevice) {
		if ok {
			d.login = &oauthLogin{user: u}
		} else {
			d.denied = true
		}
	})
}

// Deny refuses a user code.
func (o *OAuth) Deny(userCode string) bool {
	return o.settle(userCode, func(d *oauthDevice) { d.denied = true })
}

func (o *OAuth) settle(userCode string, fn func(*oauthDevice)) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.devices {
		if strings.EqualFold(d.userCode, strings.TrimSpace(userCode)) && d.login == nil && !d.denied && o.now().Before(d.end) {
			fn(d)
			return true
		}
	}
	return false
}

// PollDevice asks for the outcome of a device code. Who asks faster than the interval is told to slow down, and the
// interval grows (RFC 8628, section 3.5).
func (o *OAuth) PollDevice(device, verifier string) (OAuthGrant, *OAuthError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts.Polls++
	d, now := o.devices[device], o.now()
	sum := sha256.Sum256([]byte(verifier))
	switch {
	case d == nil || d.used:
		return OAuthGrant{}, o.no("invalid_grant", "The device code is not known.")
	case !now.Before(d.end):
		return OAuthGrant{}, o.no("expired_token", "The device code has expired.")
	case d.denied:
		return OAuthGrant{}, o.no("access_denied", "The person refused the access.")
	case d.challenge != "" && base64.RawURLEncoding.EncodeToString(sum[:]) != d.challenge:
		return OAuthGrant{}, o.no("invalid_grant", "Invalid code verifier.")
	case !d.polled.IsZero() && now.Sub(d.polled) < d.interval-d.interval/10: // a tenth for clocks that differ
		d.polled, d.interval = now, d.interval+5*time.Second
		return OAuthGrant{}, refuse(http.StatusBadRequest, "slow_down", "Ask less often.")
	case d.login == nil:
		d.polled = now
		return OAuthGrant{}, refuse(http.StatusBadRequest, "authorization_pending", "The person has not finished yet.")
	}
	d.used = true
	return o.give(d.login, true), nil
}

// DeviceCode is the endpoint that gives device codes out in the standard form.
func (o *OAuth) DeviceCode(w http.ResponseWriter, r *http.Request) {
	p, err := readParams(r)
	if err != nil {
		o.WriteError(w, refuse(http.StatusBadRequest, "invalid_request", err.Error()))
		return
	}
	if e := o.checkClient(r, p); e != nil {
		o.WriteError(w, e)
		return
	}
	if o.opts.PKCE == "required" && p["code_challenge"] == "" {
		o.WriteError(w, refuse(http.StatusBadRequest, "invalid_request", "Missing code_challenge."))
		return
	}
	d := o.BeginDevice(p["code_challenge"])
	page := o.opts.DeviceURL
	if page == "" {
		page = "http://" + r.Host + strings.TrimSuffix(originalPath(r), "/code")
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": d.Device, "user_code": d.UserCode, "verification_uri": page,
		"verification_uri_complete": page + "?user_code=" + d.UserCode, "expires_in": int(d.Life / time.Second), "interval": int(d.Interval / time.Second),
	})
}

// originalPath is the path that the client asked for, before a prefix was taken off.
func originalPath(r *http.Request) string {
	if u := r.RequestURI; strings.HasPrefix(u, "/") {
		path, _, _ := strings.Cut(u, "?")
		return path
	}
	return r.URL.Path
}

// DevicePage is where people type user codes.
func (o *OAuth) DevicePage(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		oauthPage{
			Title: "Connect a device", Text: "Type the code that the program shows.", Buttons: o.buttons(), Input: "user_code", Value: r.URL.Query().Get("user_code"),
		}.write(w, http.StatusOK)
		return
	}
	code := r.FormValue("user_code")
	switch who := r.FormValue("user"); {
	case who == "deny" && o.Deny(code):
		oauthPage{Title: "Refused", Text: "The program gets no access."}.write(w, http.StatusOK)
	case who != "deny" && o.Approve(code, who):
		oauthPage{Title: "You are signed in", Text: "Go back to the program."}.write(w, http.StatusOK)
	default:
		oauthPage{Title: "This code is not known", Text: "It is over, or was mistyped."}.write(w, http.StatusBadRequest)
	}
}
