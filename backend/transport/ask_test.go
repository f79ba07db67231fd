package transport

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// readWords is a wire format for tests: each word of the body is an event.
func readWords(_ string, r io.Reader) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		data, err := io.ReadAll(r)
		for w := range strings.FieldsSeq(string(data)) {
			ev := canon.Event{Kind: canon.KindDelta, Text: w}
			switch w {
			case "end":
				ev.Kind = canon.KindFinish
			case "bad":
				yield(canon.Event{}, apierror.New(apierror.InvalidRequest, "bad canary"))
				return
			}
			if !yield(ev, nil) {
				return
			}
		}
		if err != nil {
			yield(canon.Event{}, err)
		}
	}
}

func refuse(status int, _ http.Header, body []byte) *apierror.Error {
	return apierror.New(apierror.InvalidRequest, "%d %s", status, body)
}

func TestAsk(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, text, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "-")
		if status == "400" {
			w.WriteHeader(400)
		}
		io.WriteString(w, strings.ReplaceAll(text, "-", " "))
	}))
	defer srv.Close()
	cl := clientFor(t, Options{}, "")
	try := func(path string) Try {
		return Try{Call: Call{URL: srv.URL + "/" + path, Provider: "p", Account: "a", Secrets: []string{"canary"}}, Read: readWords, Refused: refuse}
	}
	for _, c := range []struct{ name, first, second, want string }{
		{"an answer", "200-one-end", "", "one end"},
		{"a refusal", "400-no-canary", "", "ERR 400 no [secret]"},
		{"a refusal that can be mended", "400-no", "200-two-end", "two end"},
		{"a refusal inside a good status", "200-bad", "200-two-end", "two end"},
		{"both refused", "400-no", "400-again", "ERR 400 again"},
		{"what was begun is not mended", "200-one-bad", "200-two-end", "one ERR bad [secret]"},
		{"no end", "200-one", "", "one ERR the service ended its answer before it was complete"},
		{"nothing at all", "200-", "", "ERR the service ended its answer before it was complete"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var repair func(*apierror.Error) (Try, bool)
			if c.second != "" {
				repair = func(*apierror.Error) (Try, bool) { return try(c.second), true }
			}
			var got []string
			for ev, err := range Ask(t.Context(), cl, try(c.first), repair) {
				if err != nil {
					e := apierror.From(err)
					got = append(got, "ERR", e.Msg)
					if e.Provider != "p" || e.AccountID != "a" || e.Upstream.Status == 0 {
						t.Errorf("%+v", e)
					}
					continue
				}
				if got = append(got, ev.Text); ev.Kind == canon.KindFinish {
					got[len(got)-1] = "end"
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	for range Ask(t.Context(), cl, try("200-one-end"), nil) {
		break // must not yield again
	}
	dead := try("")
	dead.Call.URL = "http://" + deadAddr(t)
	for _, err := range Ask(t.Context(), cl, dead, nil) {
		if e := apierror.From(err); e.Kind != apierror.Transport || e.Provider != "p" {
			t.Errorf("%v", err)
		}
	}
}

func TestFetch(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(404)
		}
		io.WriteString(w, "12345 canary")
	}))
	defer srv.Close()
	cl := clientFor(t, Options{}, "")
	call := Call{URL: srv.URL, Provider: "p", Secrets: []string{"canary"}}
	if b, err := Fetch(t.Context(), cl, call, 100, refuse); err != nil || string(b) != "12345 canary" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Fetch(t.Context(), cl, call, 3, refuse); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("%v", err)
	}
	if e := call.Fill(errors.New("x")); e.Provider != "p" {
		t.Errorf("%+v", e)
	}
	call.URL += "/no"
	_, err := Fetch(t.Context(), cl, call, 100, refuse)
	if e := apierror.From(err); e.Upstream.Status != 404 || strings.Contains(e.Upstream.Body+e.Msg, "canary") {
		t.Errorf("%+v", e)
	}
	call.URL = "http://" + deadAddr(t)
	if _, err := Fetch(t.Context(), cl, call, 100, refuse); apierror.KindOf(err) != apierror.Transport {
		t.Errorf("%v", err)
	}
}
