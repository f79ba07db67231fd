package transfer

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
)

// writeFiles writes files below a folder.
func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		check(t, os.MkdirAll(filepath.Dir(p), 0o700))
		check(t, os.WriteFile(p, []byte(text), 0o600))
	}
}

func gathered(t testing.TB, at, home string) []string {
	t.Helper()
	files, err := Gather(at, home)
	check(t, err)
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
		if f.Problem != "" {
			names[i] += ": " + f.Problem
		}
	}
	slices.Sort(names)
	return names
}

func TestGatherFollowsWhatFilesReferTo(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	outside := filepath.Join(t.TempDir(), "far.json")
	check(t, os.WriteFile(outside, []byte(`{"far":1}`), 0o600))
	writeFiles(t, home, map[string]string{".gemini/oauth_creds.json": `{}`, ".cli-proxy-api/codex-a.json": `{}`, ".cli-proxy-api/config.yaml": "auth-dir: /"})
	writeFiles(t, dir, map[string]string{
		"app/configs/provider_pools.json": fmt.Sprintf(`{"gemini-cli-oauth":[{"GEMINI_OAUTH_CREDS_FILE_PATH":"./configs/gemini/1.json"},{"GEMINI_OAUTH_CREDS_FILE_PATH":"~/.gemini/oauth_creds.json"},
			{"GEMINI_OAUTH_CREDS_FILE_PATH":"gone.json"},{"GEMINI_OAUTH_CREDS_FILE_PATH":%q},{"GEMINI_OAUTH_CREDS_FILE_PATH":"/app/configs/kiro/2.json"}]}`, filepath.ToSlash(outside)),
		"app/configs/gemini/1.json": `{"access_token":"x"}`, "app/configs/kiro/2.json": `{"accessToken":"x","clientIdHash":"abc"}`, "app/configs/kiro/abc.json": `{}`,
		"app/configs/config.json": `{"PROVIDER_POOLS_FILE_PATH":"configs/provider_pools.json"}`, "app/configs/readme.txt": "x", "app/package.json": `{}`, "app/src/x.json": `{}`,
		"app/configs/a/b/c/d/e/deep.json": `{}`, "app/configs/.git/x.json": `{}`, "app/configs/pwd": "x",
		"proxy/config.yaml": "auth-dir: ~/.cli-proxy-api\n", "proxy/big.json": strings.Repeat(" ", MaxImportFile+1),
		"sso/kiro-auth-token.json": `{"accessToken":"x","clientIdHash":"abc"}`, "sso/abc.json": `{}`, "sso/other.json": `{}`,
		"evil/kiro.json": `{"clientIdHash":"../abc"}`,
	})
	far := filepath.ToSlash(outside)
	for _, c := range []struct {
		at   string
		want []string
	}{
		{"app", []string{"configs/a/b/c/d/e/deep.json", "configs/config.json", "configs/gemini/1.json", "configs/kiro/2.json", "configs/kiro/abc.json", "configs/provider_pools.json", "configs/pwd", far, "~/.gemini/oauth_creds.json"}},
		{"app/configs", []string{"configs/config.json", "configs/gemini/1.json", "configs/kiro/2.json", "configs/kiro/abc.json", "configs/provider_pools.json", "configs/pwd", far, "~/.gemini/oauth_creds.json"}},
		{"app/configs/config.json", []string{"configs/config.json", "configs/gemini/1.json", "configs/kiro/2.json", "configs/kiro/abc.json", "configs/provider_pools.json", far, "~/.gemini/oauth_creds.json"}},
		{"proxy", []string{"big.json: " + problemSize, "config.yaml", "~/.cli-proxy-api/codex-a.json", "~/.cli-proxy-api/config.yaml"}},
		{"sso/kiro-auth-token.json", []string{"abc.json", "kiro-auth-token.json"}},
		{"evil", []string{"kiro.json"}},
	} {
		got := gathered(t, filepath.Join(dir, filepath.FromSlash(c.at)), home)
		want := slices.Clone(c.want)
		want = slices.DeleteFunc(want, func(s string) bool { return strings.HasSuffix(s, "deep.json") }) // further down than anybody keeps them
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", c.at, d)
		}
	}
	if _, err := Gather(filepath.Join(dir, "nothing"), home); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestGatherMindsWhatIsNoFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such files there")
	}
	dir := t.TempDir()
	check(t, os.Symlink("/dev/zero", filepath.Join(dir, "endless.json")))
	check(t, os.Symlink("nowhere.json", filepath.Join(dir, "dangling.json")))
	want := []string{"dangling.json: it is not there any more, or a link that leads nowhere", "endless.json: it is no ordinary file"}
	if d := cmp.Diff(want, gathered(t, dir, "")); d != "" {
		t.Error(d)
	}
}

func TestGatherIsBounded(t *testing.T) {
	dir := t.TempDir()
	big := strings.Repeat(" ", MaxImportFile-1)
	for i := range MaxImport/MaxImportFile + 1 {
		writeFiles(t, dir, map[string]string{fmt.Sprintf("%d.json", i): big})
	}
	if _, err := Gather(dir, ""); apierror.From(err).Param != "files" {
		t.Error(err)
	}
}

type zipped struct {
	name, text string
	change     func(*zip.FileHeader)
}

func makeZip(t testing.TB, files ...zipped) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		if f.change != nil {
			f.change(h)
		}
		e, err := w.CreateHeader(h)
		check(t, err)
		_, err = e.Write([]byte(f.text))
		check(t, err)
	}
	check(t, w.Close())
	return b.Bytes()
}

func TestZipIsUnpackedWithinBounds(t *testing.T) {
	inner := string(makeZip(t, zipped{name: "a.json", text: "{}"}))
	sized := func(n int) string { return strings.Repeat(" ", n) }
	many := make([]zipped, MaxImportFiles+1)
	for i := range many {
		many[i] = zipped{name: fmt.Sprintf("%d.txt", i)}
	}
	var big []zipped
	for i := range MaxImport/MaxImportFile + 1 {
		big = append(big, zipped{name: fmt.Sprintf("%d.json", i), text: sized(MaxImportFile - 1)})
	}
	whole := makeZip(t, zipped{name: "a.json", text: "{}"})
	for name, c := range map[string]struct {
		data []byte
		want []string // name: problem
	}{
		"plain": {makeZip(t, zipped{name: "p/configs/config.json", text: "{}"}, zipped{name: "p/x.exe"}, zipped{name: "p/node_modules/a.json"}, zipped{name: "__MACOSX/a.json"}, zipped{name: "d/"}),
			[]string{"p/configs/config.json"}},
		"escape":      {makeZip(t, zipped{name: "a.json", text: "{}"}, zipped{name: "../../etc/x.json", text: "{}"}), []string{"x.zip: leads out of it"}},
		"absolute":    {makeZip(t, zipped{name: "/etc/x.json", text: "{}"}), []string{"x.zip: leads out of it"}},
		"backslash":   {makeZip(t, zipped{name: `..\x.json`, text: "{}"}), []string{"x.zip: leads out of it"}},
		"nested":      {makeZip(t, zipped{name: "in.zip", text: inner}), []string{"in.zip: inside of a zip"}},
		"entries":     {makeZip(t, many...), []string{"x.zip: too many files"}},
		"large entry": {makeZip(t, zipped{name: "a.json", text: sized(MaxImportFile + 1)}), []string{"a.json: larger"}},
		"bomb":        {makeZip(t, big...), []string{"x.zip: unpacks to more"}},
		"link":        {makeZip(t, zipped{name: "a.json", text: "/etc/passwd", change: func(h *zip.FileHeader) { h.SetMode(fs.ModeSymlink | 0o777) }}), []string{"a.json: no ordinary file"}},
		"encrypted":   {makeZip(t, zipped{name: "a.json", text: "{}", change: func(h *zip.FileHeader) { h.Flags |= 1 }}), []string{"a.json: encrypted"}},
		"cut":         {whole[:len(whole)-10], []string{"x.zip: cut off"}},
		"damaged": {func() []byte {
			b := makeZip(t, zipped{name: "a.json", text: `{"aaaa":"` + strings.Repeat("xyz", 50) + `"}`})
			b[45] ^= 0xff
			return b
		}(), []string{"a.json: damaged"}},
	} {
		got, err := expand([]ImportFile{{Name: "x.zip", Data: c.data}})
		check(t, err)
		ok := len(got) == len(c.want)
		for i := 0; ok && i < len(got); i++ {
			n, problem, _ := strings.Cut(c.want[i], ": ")
			ok = got[i].Name == n && strings.Contains(got[i].Problem, problem) && (got[i].Problem == "") == (problem == "")
		}
		if !ok {
			t.Errorf("%s: got %v, want %q", name, got, c.want)
		}
	}
	if _, err := expand(make([]ImportFile, MaxImportFiles+1)); apierror.From(err).Param != "files" {
		t.Error(err)
	}
	var files []ImportFile
	for range MaxImport/MaxImportFile + 1 {
		files = append(files, ImportFile{Name: "x.json", Data: make([]byte, MaxImportFile)})
	}
	if _, err := expand(files); apierror.From(err).Param != "files" {
		t.Error(err)
	}
}
