package wire

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// plain renders deltas as their text, the end as "end", an error as "error" and a keep-alive as "ping".
type plain struct{}

func (plain) ContentType() string { return "text/plain" }
func (plain) AppendEvent(dst []byte, ev canon.Event) []byte {
	switch ev.Kind {
	case canon.KindDelta:
		return append(dst, ev.Text...)
	case canon.KindFinish:
		return append(dst, "end"...)
	default:
		return dst
	}
}
func (plain) AppendError(dst []byte, _ *apierror.Error) []byte { return append(dst, "error"...) }
func (plain) AppendPing(dst []byte) []byte                     { return append(dst, "ping "...) }

func TestHeadWaitsForContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := httptest.NewRecorder()
		heads := 0
		w := NewWriter(rec, plain{}, 0, func(h http.Header) { heads++; h.Set("X-Route", "a") })
		if err := w.Event(canon.Event{Kind: canon.KindStart}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		if rec.Flushed || heads != 0 {
			t.Error("the head went out without content")
		}
		if err := w.Event(canon.Event{Kind: canon.KindDelta, Text: "hi "}); err != nil {
			t.Fatal(err)
		}
		if err := w.Event(canon.Event{Kind: canon.KindFinish}); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if got := rec.Body.String(); got != "hi end" || heads != 1 || rec.Header().Get("X-Route") != "a" {
			t.Errorf("%q, %d heads", got, heads)
		}
	})
}

func TestFailBeforeTheHeadLeavesTheStatusToTheCaller(t *testing.T) {
	rec := httptest.NewRecorder()
	w := NewWriter(rec, plain{}, 0, nil)
	if w.Fail(apierror.New(apierror.Overloaded, "busy")) {
		t.Error("the error was sent in a stream that had not begun")
	}
	w.Close()
	if rec.Body.Len() > 0 {
		t.Errorf("%q", rec.Body)
	}
}

func TestSilenceIsFilledWithKeepAlives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := httptest.NewRecorder()
		w := NewWriter(rec, plain{}, 0, nil)
		time.Sleep(HeadAfter + 2*KeepAlive + time.Second) // head with one, then two more
		if err := w.Event(canon.Event{Kind: canon.KindDelta, Text: "a"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(KeepAlive - time.Second)
		if err := w.Event(canon.Event{Kind: canon.KindDelta, Text: "b"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(KeepAlive - time.Second) // less than a pause since b
		if !w.Fail(apierror.New(apierror.Truncated, "cut")) {
			t.Error("the error was not sent in the stream")
		}
		w.Close()
		time.Sleep(time.Hour)
		if got := rec.Body.String(); got != "ping ping ping aberror" {
			t.Errorf("%q", got)
		}
	})
}

func TestNothingIsFlushedWhileMoreIsCertain(t *testing.T) {
	rec := httptest.NewRecorder()
	w := NewWriter(rec, plain{}, 0, nil)
	if err := w.Event(canon.Event{Kind: canon.KindDelta, Text: "a", More: true}); err != nil {
		t.Fatal(err)
	}
	if rec.Flushed {
		t.Error("flushed although more was to come")
	}
	if err := w.Event(canon.Event{Kind: canon.KindDelta, Text: "b"}); err != nil {
		t.Fatal(err)
	}
	if !rec.Flushed || rec.Body.String() != "ab" {
		t.Errorf("flushed %v, %q", rec.Flushed, rec.Body)
	}
	w.Close()
}
