package transport

import (
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// through is the proxy for a URL as text, "" for none.
func through(t *testing.T, p osProxies, to string) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	if proxy := p.proxy(u); proxy != nil {
		return proxy.String()
	}
	return ""
}

func TestProxiesOfWindows(t *testing.T) {
	const list = "http=10.0.0.1:3128;https=10.0.0.2:3129;socks=10.0.0.3:1080"
	for name, c := range map[string]struct {
		on               bool
		server, override string
		to, want         string
	}{
		"one for all":                {true, "127.0.0.1:7890", "", "https://api.example.com/v1", "http://127.0.0.1:7890"},
		"one for all, in the clear":  {true, "127.0.0.1:7890", "", "http://api.example.com", "http://127.0.0.1:7890"},
		"off":                        {false, "127.0.0.1:7890", "", "https://api.example.com", ""},
		"with its scheme":            {true, "http://proxy.corp:8080/", "", "https://api.example.com", "http://proxy.corp:8080"},
		"socks by its scheme":        {true, "socks5://127.0.0.1:1080", "", "https://api.example.com", "socks5://127.0.0.1:1080"},
		"a list, https":              {true, list, "", "https://api.example.com", "http://10.0.0.2:3129"},
		"a list, http":               {true, list, "", "http://api.example.com", "http://10.0.0.1:3128"},
		"only socks":                 {true, "socks=127.0.0.1:1080", "", "https://api.example.com", "socks5://127.0.0.1:1080"},
		"only http":                  {true, "http=127.0.0.1:1", "", "https://api.example.com", ""},
		"an exception":               {true, "h:1", "*.example.com;other.test", "https://api.example.com", ""},
		"not that exception":         {true, "h:1", "*.example.com;other.test", "https://example.com.evil.test", "http://h:1"},
		"an exception of addresses":  {true, "h:1", "10.*; 192.168.*", "https://192.168.1.4:8080/v1", ""},
		"an exception with a scheme": {true, "h:1", "https://api.example.com:443", "https://api.example.com", ""},
		"names without a dot":        {true, "h:1", "<LOCAL>", "http://intranet/", ""},
		"a dot is a dot":             {true, "h:1", "<local>", "http://intra.net/", "http://h:1"},
		"rubbish":                    {true, "::::", ";;<>;*", "https://api.example.com", ""},
		"no server":                  {true, "", "", "https://api.example.com", ""},
	} {
		if got := through(t, windowsProxies(c.on, c.server, c.override), c.to); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

const scutil = `<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
    2 : .corp.example
  }
  ExcludeSimpleHostnames : 1
  FTPPassive : 1
  HTTPEnable : 1
  HTTPPort : 7890
  HTTPProxy : 127.0.0.1
  HTTPSEnable : 1
  HTTPSPort : 7891
  HTTPSProxy : proxy.example
  ProxyAutoConfigEnable : 0
  SOCKSEnable : 0
  SOCKSPort : 1080
  SOCKSProxy : 127.0.0.1
}
`

func TestProxiesOfMacOS(t *testing.T) {
	for name, c := range map[string]struct{ text, to, want string }{
		"https":                      {scutil, "https://api.example.com/", "http://proxy.example:7891"},
		"http":                       {scutil, "http://api.example.com/", "http://127.0.0.1:7890"},
		"an exception":               {scutil, "https://printer.local/", ""},
		"a network":                  {scutil, "http://169.254.7.7/", ""},
		"another network":            {scutil, "http://169.255.7.7/", "http://127.0.0.1:7890"},
		"a domain":                   {scutil, "https://llm.corp.example/v1", ""},
		"no domain":                  {scutil, "https://notcorp.example/v1", "http://proxy.example:7891"},
		"names without a dot":        {scutil, "https://nas/", ""},
		"socks":                      {"<dictionary> {\n  SOCKSEnable : 1\n  SOCKSPort : 1081\n  SOCKSProxy : ::1\n}\n", "https://a.test", "socks5://[::1]:1081"},
		"no port":                    {"  HTTPSEnable : 1\n  HTTPSProxy : p.test\n", "https://a.test", "http://p.test:80"},
		"off but written down":       {"  HTTPSEnable : 0\n  HTTPSProxy : p.test\n  HTTPSPort : 1\n", "https://a.test", ""},
		"nothing":                    {"<dictionary> {\n}\n", "https://a.test", ""},
		"a list of another one":      {"  X : <array> {\n    0 : *\n  }\n  HTTPSEnable : 1\n  HTTPSProxy : p\n  HTTPSPort : 9\n", "https://a.test", "http://p:9"},
		"a script and nothing else":  {"  ProxyAutoConfigEnable : 1\n  ProxyAutoConfigURLString : http://wpad/wpad.dat\n", "https://a.test", ""},
		"no dictionary":              {"scutil: no such command", "https://a.test", ""},
		"the end of a list is meant": {scutil + "  HTTPSProxy : other\n", "https://a.test", "http://other:7891"},
	} {
		if got := through(t, scutilProxies(c.text), c.to); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestSystemSettingsAreReadAgain has a change of the computer's proxy count within moments, without a read for each call.
func TestSystemSettingsAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		s := osSettings{read: func() osProxies {
			return windowsProxies(reads.Add(1) < 3, "127.0.0.1:7890", "")
		}}
		ask := func() string {
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() { s.now() }) // ends with its answer
			}
			wg.Wait()
			return through(t, *s.now(), "https://api.example.com")
		}
		if got := ask(); got == "" || reads.Load() != 1 {
			t.Errorf("%q after %d reads", got, reads.Load())
		}
		time.Sleep(settingsFresh)
		if got := ask(); got == "" || reads.Load() != 2 {
			t.Errorf("%q after %d reads", got, reads.Load())
		}
		time.Sleep(settingsFresh)
		if got := ask(); got != "" || reads.Load() != 3 {
			t.Errorf("%q after %d reads", got, reads.Load())
		}
	})
}

func FuzzSystemProxies(f *testing.F) {
	f.Add("http=h:1;https=h:2", "*.x;<local>", "api.example.com")
	f.Add(scutil, "169.254/16", "169.254.1.1")
	f.Fuzz(func(t *testing.T, server, override, host string) {
		to := &url.URL{Scheme: "https", Host: host}
		for _, p := range []osProxies{windowsProxies(true, server, override), scutilProxies(server)} {
			if u := p.proxy(to); u != nil && (u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" && u.Scheme != "socks5h") {
				t.Errorf("%q is no proxy", u)
			}
		}
	})
}
