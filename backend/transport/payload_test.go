package transport

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"weak"
)

// sendLarge starts a call with a large body and returns a weak pointer to it.
func sendLarge(t *testing.T, url string) (*Answer, weak.Pointer[[1 << 20]byte]) {
	t.Helper()
	large := new([1 << 20]byte)
	copy(large[:], "canary")
	a, err := Do(t.Context(), clientFor(t, Options{}, ""), Call{URL: url, Body: large[:]})
	if err != nil {
		t.Fatal(err)
	}
	return a, weak.Make(large)
}

func TestBodyIsLetGoWhileTheAnswerLasts(t *testing.T) {
	end := make(chan struct{})
	got := make(chan int, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- len(body)
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-end
	}))
	defer srv.Close()
	defer close(end)
	a, body := sendLarge(t, srv.URL)
	defer a.Body.Close()
	if n := <-got; n != 1<<20 {
		t.Fatalf("%d bytes were sent", n)
	}
	for range 100 { // net/http's writer may be a moment behind
		if runtime.GC(); body.Value() == nil {
			return
		}
	}
	t.Error("the body is kept although the answer has begun")
}

func TestAnAnswerBeforeTheBodyWasSentHarmsNothing(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // else the server reads the body first
		w.WriteHeader(http.StatusTeapot)
		w.(http.Flusher).Flush()
		n, _ := io.Copy(io.Discard, r.Body)
		if n != 8<<20 {
			t.Errorf("%d bytes came", n)
		}
		io.WriteString(w, "late")
	}))
	defer srv.Close()
	a, err := Do(t.Context(), clientFor(t, Options{}, ""), Call{URL: srv.URL, Body: bytes.Repeat([]byte("x"), 8<<20)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ReadAll(a.Body, 100); err != nil || string(got) != "late" || a.Status != http.StatusTeapot {
		t.Errorf("%d %q, %v", a.Status, got, err)
	}
}

func TestBodyGoesOutAgainAfterARedirect(t *testing.T) {
	mux := http.NewServeMux()
	read := func(r *http.Request) []byte {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		return body
	}
	mux.HandleFunc("/a", func(w http.ResponseWriter, r *http.Request) {
		read(r)
		http.Redirect(w, r, "/b", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/b", func(w http.ResponseWriter, r *http.Request) { w.Write(read(r)) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, body := range []string{"twice", "", strings.Repeat("long", 1<<18)} {
		a, err := Do(t.Context(), clientFor(t, Options{}, ""), Call{URL: srv.URL + "/a", Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ReadAll(a.Body, 2<<20); err != nil || string(got) != body {
			t.Errorf("%.20q, %v", got, err)
		}
	}
}
