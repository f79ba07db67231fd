package tray

import (
	"bytes"
	"testing"
)

func TestEveryStateHasItsIcon(t *testing.T) {
	seen := map[string]Icon{}
	for i := IconReady; i <= IconPaused; i++ {
		for _, variant := range []string{"dark", "light"} {
			b, err := icons.ReadFile(iconFile(iconNames[i], variant))
			if err != nil || len(b) == 0 {
				t.Fatalf("icon %d, %s: %v", i, variant, err)
			}
			if !bytes.Equal(b, icon(i, variant)) {
				t.Errorf("icon %d, %s is another one", i, variant)
			}
			if other, ok := seen[string(b)]; ok && other != i {
				t.Errorf("icons %d and %d look the same", i, other)
			}
			seen[string(b)] = i
		}
	}
}
