package window

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheWindowObeysItsParentAndNobodyElse(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("url https://evil.example/ui/\nurl http://user@127.0.0.1:1/ui/\nurl http://127.0.0.1:1/v1\n" +
		"dance\npage accounts\nshow\npage #/accounts?add\nurl http://127.0.0.1:8390/ui/#t=abc\nquit\n"))
	var got []Command
	for {
		c, err := read(in)
		if err != nil {
			break
		}
		got = append(got, c)
	}
	want := []Command{{CmdShow, ""}, {CmdPage, "#/accounts?add"}, {CmdURL, "http://127.0.0.1:8390/ui/#t=abc"}, {CmdQuit, ""}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, c := range want {
		if back, err := read(bufio.NewReader(strings.NewReader(c.Line()))); err != nil || back != c {
			t.Errorf("%q became %v %v", c.Line(), back, err)
		}
	}
}

func TestTheWindowBeginsWithAnAddress(t *testing.T) {
	if got, err := first(bufio.NewReader(strings.NewReader("show\nurl http://127.0.0.1:1/ui/\n"))); err != nil || got != "http://127.0.0.1:1/ui/" {
		t.Error(got, err)
	}
	for _, text := range []string{"", "quit\n", "url http://127.0.0.1:1/ui/"} { // the last one lacks its end
		if got, err := first(bufio.NewReader(strings.NewReader(text))); !errors.Is(err, errParentGone) {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
}

func TestPlaceIsRememberedAndNeverOutOfReach(t *testing.T) {
	file := filepath.Join(t.TempDir(), "window.json")
	fresh := place{Width: startWidth, Height: startHeight}
	if got := loadPlace(file); got != fresh {
		t.Errorf("without a file: %+v", got)
	}
	want := place{Width: 900, Height: 700, X: -20, Y: 5, Set: true, Maximised: true}
	if err := savePlace(file, want); err != nil {
		t.Fatal(err)
	}
	if got := loadPlace(file); got != want {
		t.Errorf("%+v", got)
	}
	if err := savePlace(file, place{Width: 10, Height: 10}); err != nil || loadPlace(file) != want {
		t.Error("a size that cannot be is kept", err)
	}
	for _, text := range []string{"", "{", `{"width":"x"}`, `{"width":1,"height":1}`, `{"width":99999,"height":800}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := loadPlace(file); got != fresh {
			t.Errorf("%q: %+v", text, got)
		}
	}
	for _, tc := range []struct {
		name string
		p    place
		want bool
	}{
		{"in the middle", place{Width: 800, X: 100, Y: 100, Set: true}, true},
		{"partly outside", place{Width: 800, X: -600, Y: 0, Set: true}, true},
		{"left of everything", place{Width: 800, X: -750, Y: 0, Set: true}, false},
		{"on a screen that is gone", place{Width: 800, X: 2500, Y: 0, Set: true}, false},
		{"title bar above the screen", place{Width: 800, X: 0, Y: -40, Set: true}, false},
		{"never placed", place{Width: 800}, false},
	} {
		if got := tc.p.on(1920, 1080); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestPagesOfTheWindow(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	quits, restarts := 0, 0
	p := &pages{
		say:     func(key string, _ ...string) string { return "<" + key + ">" },
		restart: func() error { restarts++; return nil }, quit: func() { quits++ },
		target: "http://" + l.Addr().String() + "/ui/#t=a</script>",
	}
	get := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		return w.Code, w.Body.String()
	}
	if _, body := get("GET", "/"); !strings.Contains(body, "location.replace(") || strings.Contains(body, "#t=a</script>") {
		t.Errorf("it does not lead on, or lets an address out of its script: %s", body)
	}
	l.Close()
	if _, body := get("GET", "/"); strings.Contains(body, "location.replace(") || !strings.Contains(body, "&lt;window.waiting&gt;") {
		t.Errorf("it leads to where nobody listens: %s", body)
	}
	address, err := p.listen()
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(err, resp)
	}
	resp.Body.Close()
	if _, body := get("GET", stoppedPath); !strings.Contains(body, "&lt;window.stopped.title&gt;") {
		t.Error(body)
	}
	get("POST", "/close")
	if get("POST", "/again"); quits != 2 || restarts != 1 {
		t.Errorf("%d quits, %d restarts", quits, restarts)
	}
	p.restart = func() error { return errors.New("it is gone") }
	if code, body := get("POST", "/again"); code != 500 || !strings.Contains(body, "it is gone") || quits != 2 {
		t.Errorf("%d %s", code, body)
	}
}

func TestALostWindowStaysUntilPatchbayRunsAgain(t *testing.T) {
	for name, c := range map[string]struct {
		running func(since time.Duration) bool
		want    time.Duration
	}{
		"the lock of the dead one is held for a moment": {func(d time.Duration) bool { return d < lookAgain+lookAgain/2 }, lostPatience},
		"it runs again after ten seconds":               {func(d time.Duration) bool { return d >= 10*time.Second }, 11 * time.Second},
		"it runs again at once":                         {func(time.Duration) bool { return true }, looksAgain * lookAgain},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				awaitAgain(func() bool { return c.running(time.Since(begun)) })
				if got := time.Since(begun); got != c.want {
					t.Errorf("the window went after %s, want %s", got, c.want)
				}
			})
		})
	}
}
