package backend

import (
	"strings"
	"testing"

	"patchbay/backend/config"
	"patchbay/backend/provider"
)

// Settings that are there at start are not refused: the listener itself must see that it would call itself.
func TestOllamaListenerKeepsOutOfCircles(t *testing.T) {
	var b Backend
	at := func(base string, enabled bool) error {
		list := []offered{{info: provider.Info{ID: "home", BaseURL: base}, enabled: enabled}}
		b.offers.Store(&list)
		return b.circles("127.0.0.1:11434")
	}
	for base, circle := range map[string]bool{
		"http://127.0.0.1:11434": true, "http://localhost:11434/v1": true, "http://127.0.0.1:8080": false, "https://ollama.com": false, "": false,
	} {
		err := at(base, true)
		if (err != nil) != circle || circle && !strings.Contains(err.Error(), "home") {
			t.Errorf("%q: %v", base, err)
		}
		if err := at(base, false); err != nil {
			t.Errorf("%q, turned off: %v", base, err)
		}
	}
}

func TestOwnAddresses(t *testing.T) {
	cfg := config.Default()
	if loopsBack("http://127.0.0.1:11434", ownAddresses(cfg)) || !loopsBack("http://localhost:8390/v1", ownAddresses(cfg)) {
		t.Errorf("%v", ownAddresses(cfg))
	}
	cfg.Server.OllamaListener.Enabled = true
	if !loopsBack("http://0.0.0.0:11434", ownAddresses(cfg)) {
		t.Errorf("%v", ownAddresses(cfg))
	}
}
