package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// kiroAuth is the sign-in of Kiro: its own service for Google and GitHub, and
// AWS's SSO for Builder ID and for an organisation. Refresh tokens rotate, and
// one that comes back a second time ends its login.
type kiroAuth struct {
	s       *Server
	servers map[string]*OAuth // by kind of account

	mu      sync.Mutex // guards what follows
	serial  int
	clients map[string]kiroClient
	waiting map[string]string // kind of account of a device code
	life    time.Duration     // of registrations
}

type kiroClient struct {
	secret string
	end    time.Time
	scopes bool
}

const (
	kiroBuilderStart = "https://view.awsapps.com/start"
	kiroTeamStart    = "https://d-1234567890.awsapps.com/start"
)

func newKiroAuth(s *Server) *kiroAuth {
	users := []OAuthUser{
		{ID: "u-ann", Email: "ann@example.test", Name: "Ann"}, {ID: "u-bob", Email: "bob@example.test", Name: "Bob"},
		{ID: "u-none", Email: "none@example.test", Name: "Nobody's"}, {ID: "u-full", Email: "exhausted@example.test", Name: "Exhausted"},
	}
	a := &kiroAuth{s: s, servers: map[string]*OAuth{}, clients: map[string]kiroClient{}, waiting: map[string]string{}, life: 90 * 24 * time.Hour}
	for kind, mark := range map[string]string{kiroSocial: "s", kiroBuilder: "b", kiroTeam: "t"} {
		a.servers[kind] = NewOAuth(OAuthOptions{Users: users, AccessPrefix: "aoa-sim-" + mark, RefreshPrefix: "aor-sim-" + mark,
			DeviceInterval: time.Second, Now: s.opts.Now})
	}
	return a
}

// KiroLogins returns the simulated sign-in service for a kind of Kiro account:
// social, builder-id or idc. It is nil for any other word.
func (s *Server) KiroLogins(kind string) *OAuth { return s.kiro.auth.servers[kind] }

// KiroProfile is the profile ARN that a kind of simulated account has.
func (s *Server) KiroProfile(kind string) string {
	return map[string]string{kiroSocial: kiroSocialARN, kiroBuilder: kiroServiceARN, kiroTeam: kiroTeamARN}[kind]
}

// KiroClient registers a client at the simulated SSO, as a program does before
// it asks for a device code.
func (s *Server) KiroClient() (id, secret string) { return s.kiro.auth.newClient(true) }

// who tells whose access token it is.
func (a *kiroAuth) who(token string) (OAuthUser, string, bool) {
	for _, kind := range []string{kiroSocial, kiroBuilder, kiroTeam} {
		if u, ok := a.servers[kind].Access(token); ok {
			return u, kind, true
		}
	}
	return OAuthUser{}, "", false
}

func (a *kiroAuth) mount(mux *http.ServeMux) {
	at := func(pattern string, serve func(w http.ResponseWriter, r *http.Request, in map[string]any)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
			a.s.record(&Request{Upstream: Kiro + "-auth", Method: r.Method, Path: r.URL.Path, Header: r.Header.Clone(), Body: body, Time: a.s.opts.Now(), Finished: true})
			var in map[string]any
			if err != nil || json.Unmarshal(body, &in) != nil {
				awsRefuse(w, refuse(http.StatusBadRequest, "invalid_request", "the body is no JSON object"))
				return
			}
			serve(w, r, in)
		})
	}
	at("POST /auth/oauth/device/authorization", a.socialDevice)
	at("POST /auth/oauth/device/poll", a.socialPoll)
	at("POST /auth/oauth/token", a.socialToken)
	at("POST /auth/refreshToken", a.socialRefresh)
	mux.HandleFunc("/portal/signin", a.signin)
	mux.HandleFunc("/portal/device", a.servers[kiroSocial].DevicePage)
	at("POST /oidc/client/register", a.register)
	at("POST /oidc/device_authorization", a.ssoDevice)
	at("POST /oidc/token", a.ssoToken)
	mux.HandleFunc("/oidc/builder", a.servers[kiroBuilder].DevicePage)
	mux.HandleFunc("/oidc/team", a.servers[kiroTeam].DevicePage)
}

func text(in map[string]any, name string) string {
	s, _ := in[name].(string)
	return s
}

// page is the address of a page of this server, as the client reached it.
func page(r *http.Request, path string) string {
	base, _, _ := strings.Cut(originalPath(r), "/auth/")
	base, _, _ = strings.Cut(base, "/oidc/")
	return "http://" + r.Host + base + path
}

// socialDevice gives a device code out. The service knows one client only.
func (a *kiroAuth) socialDevice(w http.ResponseWriter, r *http.Request, in map[string]any) {
	if text(in, "clientId") != "Kiro-CLI" || r.Header.Get("User-Agent") != "Kiro-CLI" || !slices.Contains([]string{"Google", "Github"}, text(in, "loginProvider")) {
		awsRefuse(w, refuse(http.StatusBadRequest, "invalid_request", "clientId or loginProvider is not known"))
		return
	}
	d := a.servers[kiroSocial].BeginDevice("")
	at := page(r, "/portal/device")
	writeJSON(w, http.StatusOK, obj("deviceCode", d.Device, "userCode", d.UserCode, "verificationUri", at, "verificationUriComplete", at+"?user_code="+d.UserCode,
		"expiresInMilliseconds", d.Life.Milliseconds(), "intervalInMilliseconds", d.Interval.Milliseconds()))
}

// socialPoll tells how far it is in a member, with 200 for all of it.
func (a *kiroAuth) socialPoll(w http.ResponseWriter, _ *http.Request, in map[string]any) {
	switch a.servers[kiroSocial].NextTrouble() {
	case TroubleServer:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case TroublePage:
		_, _ = io.WriteString(w, "<html>") // the client may be gone
		return
	case TroubleDropped:
		panic(http.ErrAbortHandler)
	}
	g, e := a.servers[kiroSocial].PollDevice(text(in, "deviceCode"), "")
	if e != nil {
		writeJSON(w, http.StatusOK, obj("status", e.Code))
		return
	}
	writeJSON(w, http.StatusOK, obj("status", "authorized", "accessToken", g.Access, "refreshToken", g.Refresh, "profileArn", kiroSocialARN))
}

// kiroPorts are the ports of the person's machine that the page returns to.
var kiroPorts = []string{"3128", "4649", "6588", "8008", "9091", "49153", "50153", "51153", "52153", "53153"}

// signin is the page for a browser on the same machine.
func (a *kiroAuth) signin(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	u, err := url.Parse(q.Get("redirect_uri"))
	switch {
	case err != nil || u.Hostname() != "localhost" || !slices.Contains(kiroPorts, u.Port()) || strings.Trim(u.Path, "/") != "":
		oauthPage{Title: "This sign-in cannot work", Text: "redirect_uri is not on the list: " + q.Get("redirect_uri")}.write(w, http.StatusBadRequest)
		return
	case q.Get("state") == "" || q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256" || q.Get("redirect_from") != "kirocli":
		oauthPage{Title: "This sign-in cannot work", Text: "a parameter is missing"}.write(w, http.StatusBadRequest)
		return
	}
	o := a.servers[kiroSocial]
	if r.Method == http.MethodGet {
		oauthPage{Title: "Sign in to Kiro", Text: "A program on this machine asks for access to your account.", Buttons: o.buttons()}.write(w, http.StatusOK)
		return
	}
	o.Decide(w, r, u.Scheme+"://"+u.Host+"/oauth/callback?login_option=google", q.Get("state"), q.Get("code_challenge"))
}

func (a *kiroAuth) socialToken(w http.ResponseWriter, _ *http.Request, in map[string]any) {
	g, e := a.servers[kiroSocial].RedeemCode(text(in, "code"), text(in, "redirect_uri"), text(in, "code_verifier"))
	if e != nil {
		awsRefuse(w, e)
		return
	}
	writeJSON(w, http.StatusOK, obj("accessToken", g.Access, "refreshToken", g.Refresh, "expiresIn", int(g.Life/time.Second), "profileArn", kiroSocialARN, "csrfToken", "x"))
}

// trouble lets a queued trouble of a token call come true; dropped says that the
// answer is to be lost after the work.
func trouble(w http.ResponseWriter, o *OAuth) (done, dropped bool) {
	t := o.NextTrouble()
	return o.WriteTrouble(w, t), t == TroubleDropped
}

func (a *kiroAuth) socialRefresh(w http.ResponseWriter, _ *http.Request, in map[string]any) {
	o := a.servers[kiroSocial]
	done, dropped := trouble(w, o)
	if done {
		return
	}
	g, e := o.RedeemRefresh(text(in, "refreshToken"))
	switch {
	case e != nil:
		awsRefuse(w, refuse(http.StatusUnauthorized, "invalid_grant", "Invalid refresh token provided"))
	case dropped:
		panic(http.ErrAbortHandler)
	default:
		writeJSON(w, http.StatusOK, obj("accessToken", g.Access, "refreshToken", g.Refresh, "expiresIn", int(g.Life/time.Second), "profileArn", kiroSocialARN))
	}
}

func (a *kiroAuth) newClient(scopes bool) (id, secret string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serial++
	id, secret = fmt.Sprintf("sim-client-%04d", a.serial), fmt.Sprintf("sim-client-secret-%04d", a.serial)
	a.clients[id] = kiroClient{secret, a.s.opts.Now().Add(a.life), scopes}
	return id, secret
}

// register is RegisterClient.
func (a *kiroAuth) register(w http.ResponseWriter, _ *http.Request, in map[string]any) {
	if text(in, "clientName") == "" || text(in, "clientType") != "public" {
		awsRefuse(w, refuse(http.StatusBadRequest, "invalid_client_metadata", "clientName and clientType are needed"))
		return
	}
	scopes, _ := in["scopes"].([]any)
	for _, s := range scopes {
		if name, _ := s.(string); !strings.HasPrefix(name, "codewhisperer:") {
			awsRefuse(w, refuse(http.StatusBadRequest, "invalid_scope", "unknown scope"))
			return
		}
	}
	id, secret := a.newClient(len(scopes) > 0)
	now := a.s.opts.Now()
	writeJSON(w, http.StatusOK, obj("clientId", id, "clientSecret", secret, "clientIdIssuedAt", now.Unix(), "clientSecretExpiresAt", now.Add(a.life).Unix(),
		"authorizationEndpoint", nil, "tokenEndpoint", nil))
}

// client checks a registration.
func (a *kiroAuth) client(in map[string]any) (kiroClient, *OAuthError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.clients[text(in, "clientId")]
	switch {
	case !ok || c.secret != text(in, "clientSecret"):
		return c, refuse(http.StatusUnauthorized, "invalid_client", "Invalid client provided")
	case !a.s.opts.Now().Before(c.end):
		return c, refuse(http.StatusUnauthorized, "invalid_client", "Client is expired")
	}
	return c, nil
}

// ssoDevice is StartDeviceAuthorization.
func (a *kiroAuth) ssoDevice(w http.ResponseWriter, r *http.Request, in map[string]any) {
	if _, e := a.client(in); e != nil {
		awsRefuse(w, e)
		return
	}
	kind, at := "", ""
	switch strings.TrimRight(text(in, "startUrl"), "/") {
	case kiroBuilderStart:
		kind, at = kiroBuilder, page(r, "/oidc/builder")
	case kiroTeamStart:
		kind, at = kiroTeam, page(r, "/oidc/team")
	default:
		awsRefuse(w, refuse(http.StatusBadRequest, "invalid_request", "Invalid start url provided"))
		return
	}
	d := a.servers[kind].BeginDevice("")
	a.mu.Lock()
	a.waiting[d.Device] = kind
	a.mu.Unlock()
	writeJSON(w, http.StatusOK, obj("deviceCode", d.Device, "userCode", d.UserCode, "verificationUri", at, "verificationUriComplete", at+"?user_code="+d.UserCode,
		"expiresIn", int(d.Life/time.Second), "interval", int(d.Interval/time.Second)))
}

// ssoToken is CreateToken.
func (a *kiroAuth) ssoToken(w http.ResponseWriter, _ *http.Request, in map[string]any) {
	c, e := a.client(in)
	if e != nil {
		awsRefuse(w, e)
		return
	}
	token := text(in, "refreshToken")
	kind := kiroBuilder
	if strings.HasPrefix(token, "aor-sim-t") {
		kind = kiroTeam
	}
	var g OAuthGrant
	dropped := false
	switch text(in, "grantType") {
	case "urn:ietf:params:oauth:grant-type:device_code":
		a.mu.Lock()
		if k := a.waiting[text(in, "deviceCode")]; k != "" {
			kind = k
		}
		a.mu.Unlock()
		g, e = a.servers[kind].PollDevice(text(in, "deviceCode"), "")
	case "refresh_token":
		var done bool
		if done, dropped = trouble(w, a.servers[kind]); done {
			return
		}
		g, e = a.servers[kind].RedeemRefresh(token)
	default:
		e = refuse(http.StatusBadRequest, "unsupported_grant_type", "no such grant")
	}
	switch {
	case e != nil:
		awsRefuse(w, e)
	case dropped:
		panic(http.ErrAbortHandler)
	case !c.scopes: // without scopes there is no refresh token, and the token lives for a week
		writeJSON(w, http.StatusOK, obj("accessToken", g.Access, "refreshToken", nil, "expiresIn", 604800, "tokenType", "Bearer", "idToken", nil))
	default:
		writeJSON(w, http.StatusOK, obj("accessToken", g.Access, "refreshToken", g.Refresh, "expiresIn", int(g.Life/time.Second), "tokenType", "Bearer", "idToken", nil))
	}
}

// awsRefuse writes a refusal as AWS's SSO does: the word twice, in the header as
// an exception.
func awsRefuse(w http.ResponseWriter, e *OAuthError) {
	var name strings.Builder
	for part := range strings.SplitSeq(e.Code, "_") {
		name.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	w.Header().Set("X-Amzn-Errortype", name.String()+"Exception")
	writeJSON(w, e.Status, obj("error", e.Code, "error_description", e.Text))
}
