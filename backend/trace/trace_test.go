package trace

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestManyOfOneCauseBecomeOneStep(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var in []Step
	for i := range 7 {
		in = append(in, Step{What: Skipped, Provider: "p", Account: fmt.Sprint(i), Label: "a", Kind: KindResting, Until: at.Add(time.Duration(9-i) * time.Minute)})
		if i < 6 {
			in = append(in, Step{What: Skipped, Provider: "p", Account: "x", Kind: "needs_login", Message: "sign in"})
		}
	}
	got := Fold(in)
	if len(got) != 7 {
		t.Fatalf("%d steps", len(got))
	}
	want := Step{What: Skipped, Provider: "p", Kind: KindResting, Message: "7 accounts skipped: resting", Until: at.Add(3 * time.Minute), Count: 7}
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Error(d)
	}
	if got[1].Account != "x" || got[1].Count != 0 {
		t.Errorf("%+v", got[1])
	}
}

func TestWhatFollowedAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(time.Now())
		l.Add(Step{What: Asked}, Step{What: Chosen})
		time.Sleep(time.Second)
		l.Add(Step{What: Tried, Provider: "p", Account: "1"})
		l.Add(Step{What: Tried, Provider: "p", Account: "1"})
		l.Note("prompt", "a rule was used")
		l.Note("prompt", "a rule was used")
		l.Add(Step{What: Tried, Provider: "p", Account: "2"})
		l.Add(Step{What: Hop, Provider: "q"}, Step{What: Tried, Provider: "q", Account: "3"}, Step{What: Ended})
		var got []string
		for _, s := range l.Steps() {
			got = append(got, fmt.Sprintf("%s %s%s %s %d", s.What, s.Provider, s.Account, s.Next, s.AtMS))
		}
		want := []string{"asked   0", "rule   0", "tried p1 same_account 1000", "tried p1 next_account 1000", "note   1000", "tried p2 next_step 1000",
			"step q  1000", "tried q3 end 1000", "ended   1000"}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

func TestALogIsBounded(t *testing.T) {
	l := New(time.Now())
	for range maxSteps + 5 {
		l.Add(Step{What: Skipped})
	}
	got := l.Steps()
	if len(got) != maxSteps+1 || got[maxSteps].Message != "and 5 further steps" {
		t.Errorf("%d steps, the last %+v", len(got), got[len(got)-1])
	}
}
