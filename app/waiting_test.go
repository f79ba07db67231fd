//go:build linux

package app

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"patchbay/backend"
	"patchbay/backend/config"
)

// noBus is the address of a session bus that is not there.
const noBus = "unix:path=/nonexistent"

// desktopOn runs Patchbay with these settings on a desktop that has this session bus and no window. Its page opens in a browser
// that only takes note.
func desktopOn(t *testing.T, bus, settings string) (paths config.Paths, browsed chan string, cancel func(), ended chan error) {
	t.Helper()
	home := t.TempDir()
	for name, value := range map[string]string{
		"DBUS_SESSION_BUS_ADDRESS": bus, "XDG_CONFIG_HOME": home, "HOME": home, "DISPLAY": "", "WAYLAND_DISPLAY": "", "LANG": "C",
	} {
		t.Setenv(name, value)
	}
	paths = config.Paths{Config: filepath.Join(home, "config.yaml"), Data: home, State: home}
	if err := os.WriteFile(paths.Config, []byte("credential_files: {enabled: false}\n"+settings), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	browsed, ended = make(chan string, 8), make(chan error, 1)
	go func() { // ends with ctx, at the end of the test at the latest
		ended <- Run(ctx, Options{
			Backend: backend.Options{Paths: paths, Env: []string{"HOME=" + home, "PATCHBAY_KEYRING=file"}, Version: "1.2.3"},
			Browse:  func(address string) error { browsed <- address; return nil },
		})
	}()
	return paths, browsed, cancel, ended
}

// taken is a port that somebody else has: this test.
func taken(t *testing.T) (l net.Listener, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// call asks for something; host is the name in its head, "" = that of the address.
func call(t *testing.T, method, address, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestATakenPortIsAPageWithAnotherPortToTake(t *testing.T) {
	_, port := taken(t)
	paths, browsed, cancel, ended := desktopOn(t, noBus, "server: {listen: 127.0.0.1:"+port+"}\n")
	page := <-browsed
	if _, body := call(t, "GET", page, ""); !strings.Contains(body, "Port "+port+" is taken") || !strings.Contains(body, "(process "+strconv.Itoa(os.Getpid())+")") ||
		!strings.Contains(body, "Use port ") || !strings.Contains(body, "Try port "+port+" again") {
		t.Errorf("the page does not say who has the port and what to do: %s", body)
	}
	room := baseOf(page)
	if code, _ := call(t, "GET", page, "evil.example"); code != http.StatusForbidden {
		t.Errorf("a page of the web is let in: %d", code)
	}
	for _, path := range []string{"/ui/", "/v1/models", "/api/status"} {
		if code, body := call(t, "GET", room+path, ""); code == http.StatusOK {
			t.Errorf("%s without a key: %d %s", path, code, body)
		}
	}

	// A second start finds the first one, which shows the same page.
	client, err := backend.Running(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.ShowWindow(t.Context(), "#/accounts"); err != nil || <-browsed != page {
		t.Error(err)
	}
	if _, err := client.OpenPage(t.Context()); err == nil {
		t.Error("there is a link to a page that nobody serves")
	}

	// It is still taken.
	if code, body := call(t, "POST", page+"again", ""); code != http.StatusOK {
		t.Error(code, body)
	}
	if _, link := call(t, "GET", page+"link", ""); link != "" {
		t.Error("it leads on to", link)
	}

	// Another port: the browser is led on, and the settings say so.
	if code, body := call(t, "POST", page+"use", ""); code != http.StatusOK {
		t.Error(code, body)
	}
	var link string
	soon(t, "it listens on the other port", func() bool { _, link = call(t, "GET", page+"link", ""); return link != "" })
	base := baseOf(link)
	if !strings.HasPrefix(link, base+"/ui/#t=") || base == room || strings.HasSuffix(base, ":"+port) {
		t.Error(link)
	}
	if code, _ := call(t, "GET", base+"/health", ""); code != http.StatusOK {
		t.Error(code)
	}
	if b, err := os.ReadFile(paths.Config); err != nil || !strings.Contains(string(b), strings.TrimPrefix(base, "http://")) {
		t.Errorf("the settings: %s %v", b, err)
	}
	if client, err = backend.Running(t.Context(), paths); err != nil {
		t.Fatal(err)
	}
	if st, err := client.Status(t.Context()); err != nil || st.Base != base {
		t.Error(st.Base, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(room, "http://")); err == nil { //nolint:noctx // nobody listens
		t.Error("the page about the port is left")
	}
}

func TestWhoeverHasThePortMayLeaveIt(t *testing.T) {
	l, port := taken(t)
	_, browsed, cancel, ended := desktopOn(t, noBus, "server: {listen: 127.0.0.1:"+port+"}\n")
	page := <-browsed
	l.Close()
	if code, body := call(t, "POST", page+"again", ""); code != http.StatusOK {
		t.Error(code, body)
	}
	soon(t, "it listens where it should", func() bool {
		_, link := call(t, "GET", page+"link", "")
		return strings.HasPrefix(link, "http://127.0.0.1:"+port+"/ui/#t=")
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestItCanBeEndedWhileItsPortIsTaken(t *testing.T) {
	_, port := taken(t)
	paths, browsed, _, ended := desktopOn(t, noBus, "server: {listen: 127.0.0.1:"+port+"}\n")
	<-browsed
	client, err := backend.Running(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Quit(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(paths.Dir(), "instance.json")); backend.IsRunning(paths) || err == nil {
		t.Error("something of it is left")
	}
}
