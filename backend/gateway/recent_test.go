package gateway

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRecentModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gateway
		used := func() (out []string) {
			for _, u := range g.Recent(5 * time.Minute) {
				out = append(out, u.Provider+"/"+u.Model)
			}
			return out
		}
		g.recent.note("a", "1")
		time.Sleep(time.Minute)
		g.recent.note("b", "2")
		g.recent.note("a", "1")
		if d := cmp.Diff([]string{"a/1", "b/2"}, used()); d != "" {
			t.Error(d)
		}
		time.Sleep(4*time.Minute + 59*time.Second)
		g.recent.note("c", "3")
		time.Sleep(time.Second)
		if d := cmp.Diff([]string{"c/3"}, used()); d != "" {
			t.Error(d)
		}
		for i := range 2 * maxRecent {
			g.recent.note("d", fmt.Sprint(i))
		}
		if n := len(g.recent.list); n != maxRecent {
			t.Errorf("%d are kept", n)
		}
	})
}
