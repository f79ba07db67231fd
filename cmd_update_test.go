package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/backend/api"
)

func TestUpdateCommands(t *testing.T) {
	b := newBench()
	b.svc.UpdateView = api.UpdateView{Version: "1.0.0", Possible: true}
	if r := b.run(t, "update"); r.code != exitOK || !strings.Contains(r.out, "not looked for yet") {
		t.Errorf("before: %+v", r)
	}
	b.svc.Newest = &api.ReleaseView{Version: "1.1.0", Published: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Security: true, Package: &api.PackageView{Kind: "deb", Size: 5_000_000}}
	r := b.run(t, "update", "check")
	for _, want := range []string{"This is Patchbay 1.0.0.", "Version 1.1.0 of 2026-11-01 is available, which mends a security hole.", "(deb, 5.0 MB)"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is missing in %+v", want, r)
		}
	}
	if r := b.run(t, "update", "--json"); !strings.Contains(r.out, `"available"`) {
		t.Errorf("JSON: %+v", r)
	}
	b.svc.UpdateView.Problem = "the list of releases is refused"
	if r := b.run(t, "update", "check"); r.code != exitFailed || !strings.Contains(r.out, "refused") {
		t.Errorf("a failed check: %+v", r)
	}
	dir := t.TempDir()
	if r := b.run(t, "update", "download", "--to", dir); r.code != exitFailed || !strings.Contains(r.err, "nothing is downloaded") {
		t.Errorf("a download after a failed check: %+v", r)
	}
}

func TestUpdateDownload(t *testing.T) {
	content := "the package"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, content) }))
	defer srv.Close()
	b, dir := newBench(), t.TempDir()
	b.svc.UpdateView = api.UpdateView{Version: "1.0.0", Possible: true}
	if r := b.run(t, "update", "download", "--to", dir); r.code != exitFailed || !strings.Contains(r.err, "no newer version") {
		t.Errorf("without one: %+v", r)
	}
	b.svc.Newest = &api.ReleaseView{Version: "1.1.0", Package: &api.PackageView{
		Kind: "deb", URL: srv.URL + "/p_1.1.0.deb", Size: int64(len(content)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(content))),
	}}
	if r := b.run(t, "update", "download", "--to", dir); r.code != exitOK || !strings.Contains(r.out, "sudo apt install "+filepath.Join(dir, "p_1.1.0.deb")) {
		t.Errorf("download: %+v", r)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "p_1.1.0.deb")); err != nil || string(got) != content {
		t.Errorf("it holds %q, %v", got, err)
	}
	content = "the pAckage"
	if r := b.run(t, "update", "download", "--to", t.TempDir()); r.code != exitFailed || !strings.Contains(r.err, "hash") {
		t.Errorf("a changed package: %+v", r)
	}
}
