package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// authServer runs an authorisation server and returns a function that posts a form to it.
func authServer(t *testing.T, o OAuthOptions) (*OAuth, string, func(path string, form ...string) (int, map[string]any)) {
	t.Helper()
	sim := NewOAuth(o)
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(srv.Close)
	return sim, srv.URL, func(path string, form ...string) (int, map[string]any) {
		t.Helper()
		v := url.Values{}
		for i := 0; i+1 < len(form); i += 2 {
			v.Set(form[i], form[i+1])
		}
		resp, err := http.PostForm(srv.URL+path, v)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var m map[string]any
		_ = json.NewDecoder(resp.Body).Decode(&m) // a page is no JSON
		return resp.StatusCode, m
	}
}

func TestAuthorizePageChecksItsAddress(t *testing.T) {
	_, base, _ := authServer(t, OAuthOptions{Client: "c", PKCE: "required", Redirects: []string{"http://127.0.0.1:*/cb"}})
	good := url.Values{"client_id": {"c"}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:99/cb"}, "state": {"s"}, "code_challenge": {"x"}, "code_challenge_method": {"S256"}}
	for member, c := range map[string]struct{ value, says string }{
		"":                      {"", "Sign in as ann@example.test"},
		"client_id":             {"other", "client was not found"},
		"response_type":         {"token", "response_type=code"},
		"redirect_uri":          {"http://127.0.0.1:99/elsewhere", "redirect_uri_mismatch"},
		"state":                 {"", "parameter: state"},
		"code_challenge":        {"", "parameter: code_challenge"},
		"code_challenge_method": {"plain", "must be S256"},
	} {
		q := url.Values{}
		for k, v := range good {
			q[k] = v
		}
		if member != "" {
			q.Set(member, c.value)
		}
		resp, err := http.Get(base + "/authorize?" + q.Encode())
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(b), c.says) || !strings.Contains(string(b), "SIMULATED") {
			t.Errorf("%s: %s", member, b)
		}
	}
}

func TestCodesCountOnce(t *testing.T) {
	sim, _, post := authServer(t, OAuthOptions{Client: "c", Secret: "s"})
	code, _ := sim.NewCode("ann@example.test", "http://r", "")
	form := []string{"grant_type", "authorization_code", "code", code, "client_id", "c", "client_secret", "s", "redirect_uri", "http://r"}
	if status, m := post("/token", append(form[:len(form)-1:len(form)-1], "http://other")...); status != 400 || m["error"] != "redirect_uri_mismatch" {
		t.Error(status, m)
	}
	status, m := post("/token", form...)
	if status != 200 || m["refresh_token"] == nil || m["expires_in"] != 3600.0 {
		t.Fatal(status, m)
	}
	token := m["refresh_token"].(string)
	if status, m = post("/token", form...); status != 400 || m["error"] != "invalid_grant" || sim.Works(token) {
		t.Error("a replayed code must end its login", status, m)
	}
	if status, m = post("/token", "grant_type", "refresh_token", "refresh_token", token, "client_id", "c"); status != 401 || m["error"] != "invalid_client" {
		t.Error(status, m)
	}
	if status, m = post("/token", "client_id", "c", "client_secret", "s"); m["error"] != "unsupported_grant_type" {
		t.Error(status, m)
	}
	if _, ok := sim.NewCode("nobody", "", ""); ok {
		t.Error("a stranger got a code")
	}
}

func TestRotationAndReuse(t *testing.T) {
	sim, _, post := authServer(t, OAuthOptions{Objects: true, JWT: true, IDTokens: true})
	first, _ := sim.Issue("ann@example.test")
	_, m := post("/token", "grant_type", "refresh_token", "refresh_token", first.Refresh)
	second := m["refresh_token"].(string)
	if sim.Works(first.Refresh) || !sim.Works(second) || m["id_token"] == nil || strings.Count(m["access_token"].(string), ".") != 2 {
		t.Error(m)
	}
	if u, ok := sim.Access(m["access_token"].(string)); !ok || u.ID != "u-ann" {
		t.Error(u, ok)
	}
	status, m := post("/token", "grant_type", "refresh_token", "refresh_token", first.Refresh)
	if e := m["error"].(map[string]any); status != 400 || e["code"] != "refresh_token_reused" || sim.Works(second) || sim.Counts().Reuses != 1 {
		t.Error(status, m, sim.Counts())
	}
}

func TestSteadyAndLeeway(t *testing.T) {
	steady := NewOAuth(OAuthOptions{Steady: true})
	g, _ := steady.Issue("bob@example.test")
	for range 3 {
		next, refused := steady.RedeemRefresh(g.Refresh)
		if refused != nil || next.Refresh != "" {
			t.Error(next, refused)
		}
	}
	kind := NewOAuth(OAuthOptions{Leeway: true})
	g, _ = kind.Issue("bob@example.test")
	one, _ := kind.RedeemRefresh(g.Refresh)
	two, refused := kind.RedeemRefresh(g.Refresh)
	if refused != nil || one.Refresh != two.Refresh || kind.Counts().Repeated != 1 {
		t.Error(one, two, refused)
	}
	kind.Access(one.Access)
	if _, refused = kind.RedeemRefresh(g.Refresh); refused == nil || !strings.Contains(refused.Error(), "invalid_grant") {
		t.Error("the leeway must end with the first use", refused)
	}
}

func TestClockAndRevocation(t *testing.T) {
	sim := NewOAuth(OAuthOptions{Life: time.Minute})
	g, _ := sim.Issue("ann@example.test")
	begun := sim.Now()
	sim.Advance(2 * time.Minute)
	if _, ok := sim.Access(g.Access); ok || sim.Now().Sub(begun) < 2*time.Minute {
		t.Error("an access token outlived its life")
	}
	code, _ := sim.NewCode("ann@example.test", "r", "")
	sim.Advance(time.Hour)
	if _, refused := sim.RedeemCode(code, "r", ""); refused == nil || refused.Text != "The code has expired." {
		t.Error(refused)
	}
	next, _ := sim.RedeemRefresh(g.Refresh)
	sim.ExpireAccess()
	if _, ok := sim.Access(next.Access); ok || !sim.Works(next.Refresh) {
		t.Error("only access tokens were to end")
	}
	sim.RevokeAll()
	if sim.Works(next.Refresh) {
		t.Error("a revoked login works")
	}
	if _, ok := sim.Issue("nobody"); ok {
		t.Error("a stranger signed in")
	}
}

func TestDeviceFlow(t *testing.T) {
	sim, base, post := authServer(t, OAuthOptions{DeviceInterval: time.Second})
	_, d := post("/device/code", "client_id", "x")
	if d["verification_uri"] != base+"/device" || d["interval"] != 1.0 {
		t.Error(d)
	}
	poll := func() (int, map[string]any) {
		return post("/token", "grant_type", "urn:ietf:params:oauth:grant-type:device_code", "device_code", d["device_code"].(string))
	}
	if _, m := poll(); m["error"] != "authorization_pending" {
		t.Error(m)
	}
	if _, m := poll(); m["error"] != "slow_down" {
		t.Error(m)
	}
	page := d["verification_uri_complete"].(string)
	resp, err := http.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(b), d["user_code"].(string)) {
		t.Errorf("%s", b)
	}
	if _, text, err := Click(t.Context(), http.DefaultClient, page, "ann@example.test"); err != nil || !strings.Contains(text, "You are signed in") {
		t.Error(text, err)
	}
	if _, text, _ := Click(t.Context(), http.DefaultClient, page, "ann@example.test"); !strings.Contains(text, "not known") {
		t.Error(text)
	}
	sim.Advance(time.Minute)
	if status, m := poll(); status != 200 || m["access_token"] == nil {
		t.Error(status, m)
	}
	if _, m := poll(); m["error"] != "invalid_grant" {
		t.Error(m)
	}
	_, d = post("/device/code")
	if _, text, _ := Click(t.Context(), http.DefaultClient, d["verification_uri_complete"].(string), "deny"); !strings.Contains(text, "Refused") {
		t.Error(text)
	}
	if _, m := poll(); m["error"] != "access_denied" {
		t.Error(m)
	}
	_, d = post("/device/code")
	sim.Advance(time.Hour)
	if _, m := poll(); m["error"] != "expired_token" {
		t.Error(m)
	}
	strict, _, post := authServer(t, OAuthOptions{PKCE: "required", Client: "c"})
	if status, m := post("/device/code", "client_id", "c"); status != 400 || m["error"] != "invalid_request" {
		t.Error(status, m)
	}
	if status, _ := post("/device/code", "client_id", "z"); status != 401 {
		t.Error(status)
	}
	dev := strict.BeginDevice("challenge")
	strict.Approve(dev.UserCode, "bob@example.test")
	if _, refused := strict.PollDevice(dev.Device, "wrong"); refused == nil || refused.Code != "invalid_grant" {
		t.Error(refused)
	}
}

func TestTokenTroubles(t *testing.T) {
	sim, base, post := authServer(t, OAuthOptions{})
	g, _ := sim.Issue("ann@example.test")
	for trouble, want := range map[OAuthTrouble]int{
		TroubleServer: 500, TroubleBusy: 429, TroublePage: 200, TroubleError: 200, TroubleNoToken: 200, TroubleRevoked: 400, TroubleForeign: 401,
	} {
		sim.Trouble(trouble)
		if status, m := post("/token", "grant_type", "refresh_token", "refresh_token", g.Refresh); status != want || m["access_token"] != nil {
			t.Error(trouble, status, m)
		}
	}
	sim.Trouble(TroubleDropped)
	_, err := http.PostForm(base+"/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.Refresh}})
	if err == nil || sim.Counts().Refreshes != 1 || sim.Works(g.Refresh) {
		t.Error("the tokens must rotate and the answer be lost", err)
	}
	for _, body := range []string{"{", "[]"} {
		resp, err := http.Post(base+"/token", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Error(body, resp.StatusCode)
		}
	}
	resp, err := http.Post(base+"/token", "application/json", strings.NewReader(`{"grant_type":"refresh_token","refresh_token":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Error(resp.StatusCode)
	}
}

func TestUserInfoAndHostedPage(t *testing.T) {
	sim, base, _ := authServer(t, OAuthOptions{})
	g, _ := sim.Issue("ann@example.test")
	for token, want := range map[string]int{g.Access: 200, "nonsense": 401} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/userinfo", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Error(token, resp.StatusCode)
		}
	}
	for query, want := range map[string]string{"code=c&state=s": "c#s", "error=access_denied": "refused: access_denied"} {
		resp, err := http.Get(base + "/paste?" + query)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(b), want) {
			t.Errorf("%s: %s", query, b)
		}
	}
}

func TestClickGoesWhereTheBrowserGoes(t *testing.T) {
	_, base, _ := authServer(t, OAuthOptions{})
	q := url.Values{"response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:1/cb?x=1"}, "state": {"s"}}
	at, text, err := Click(t.Context(), http.DefaultClient, base+"/authorize?"+q.Encode(), "ann@example.test")
	if err != nil || text != "" || at.Host != "127.0.0.1:1" || at.Query().Get("code") == "" || at.Query().Get("x") != "1" || at.Query().Get("state") != "s" {
		t.Error(at, text, err)
	}
	if _, _, err = Click(t.Context(), http.DefaultClient, "http://127.0.0.1:1/", "x"); err == nil {
		t.Error("a page that is not there was opened")
	}
}
