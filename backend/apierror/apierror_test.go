package apierror

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestPolicyIsComplete(t *testing.T) {
	for _, k := range Kinds() {
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
		p := PolicyOf(k)
		if !slices.Contains(Rows, p.Row) {
			t.Errorf("%s has no row", k)
		}
		if p.Same != NoRepeat && p.NextAccount == Never {
			t.Errorf("%s: what may be repeated may go to another account", k)
		}
	}
}

func TestRequestsOwnFaultHarmsNobody(t *testing.T) {
	for _, k := range []Kind{InvalidRequest, ContentFiltered, BodyTooLarge, ContextTooLong, Unsupported, PolicyRefused, Canceled, ClientUnauthorized} {
		p := PolicyOf(k)
		if p.Effect != NoEffect || p.Same != NoRepeat || p.NextAccount != Never {
			t.Errorf("%s: %+v", k, p)
		}
	}
}

func TestUpstreamRefusalIsNeverTheClients401(t *testing.T) {
	for _, k := range []Kind{AuthExpired, AccountBlocked} {
		if r := PolicyOf(k).Row; r != RowOverloaded {
			t.Errorf("%s is told as %s", k, r)
		}
	}
}

func TestNoAccountRowFollowsTheSoonestTime(t *testing.T) {
	for d, want := range map[time.Duration]Row{0: RowOverloaded, time.Second: RowRateLimit, 300 * time.Second: RowRateLimit, 301 * time.Second: RowQuota} {
		e := &Error{Kind: NoAccount, RetryAfter: d}
		if got := e.Row(); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestFromHidesWhatIsNotOurs(t *testing.T) {
	inner := errors.New("dial tcp: secret host")
	if e := From(inner); e.Kind != Internal || e.Msg == inner.Error() || !errors.Is(e, inner) {
		t.Errorf("%#v", e)
	}
	own := Invalid("model", "model is required")
	if got := From(fmt.Errorf("decoding: %w", own)); got != own {
		t.Errorf("%v", got)
	}
	if From(nil) != nil {
		t.Error("nil became an error")
	}
}
