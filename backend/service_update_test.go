package backend

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"patchbay/backend/config"
	"patchbay/backend/update"
)

// TestUpdatesThroughTheWholeProgram opens Patchbay twice over a simulated publisher: what is found stays known.
func TestUpdatesThroughTheWholeProgram(t *testing.T) {
	key := ed25519.NewKeyFromSeed([]byte("a seed of thirty-two bytes, test"))
	now := time.Now()
	envelope, err := update.Sign(key, update.Manifest{Serial: 1, Version: "2.0.0", Published: now, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write(envelope)
	}))
	defer srv.Close()
	dir := t.TempDir()
	o := Options{
		Paths: config.Paths{Config: filepath.Join(dir, "config.yaml"), Data: dir, State: filepath.Join(dir, "logs")}, Env: []string{"PATCHBAY_KEYRING=file"},
		Version: "1.0.0", UpdateKey: base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)), UpdateURL: srv.URL + "/stable.json",
	}
	for round := range 2 {
		b, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		v, err := b.Update(t.Context())
		if err != nil || v.Enabled || !v.Possible || (v.Available != nil) != (round == 1) {
			t.Errorf("round %d: %+v, %v", round, v, err)
		}
		if round == 0 {
			if v, err = b.CheckUpdate(t.Context()); err != nil || v.Available == nil || v.Available.Version != "2.0.0" {
				t.Errorf("after asking: %+v, %v", v, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if asked != 1 {
		t.Errorf("the publisher was asked %d times", asked)
	}
}

func TestABuildWithoutAPublisherSaysSo(t *testing.T) {
	if update.PublicKey != "" {
		t.Skip("this source has a publisher")
	}
	dir := t.TempDir()
	b, err := Open(t.Context(), Options{
		Paths: config.Paths{Config: filepath.Join(dir, "config.yaml"), Data: dir, State: filepath.Join(dir, "logs")}, Env: []string{"PATCHBAY_KEYRING=file"}, Version: "1.0.0",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.CheckUpdate(t.Context()); err == nil || err.Error() == "" {
		t.Errorf("it says %v", err)
	}
}
