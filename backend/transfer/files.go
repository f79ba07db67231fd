package transfer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
)

// Bounds of what is read for an import. A pool of a thousand accounts is half a MiB; an auth folder has a file per login.
const (
	MaxImport      = 24 << 20 // all files together
	MaxImportFile  = 4 << 20  // one file, but for a zip
	MaxImportFiles = 5000
	maxDepth       = 4 // of folders below the one that was named
)

// ImportFile is a file of another program on its way into Patchbay.
type ImportFile struct {
	// Name is the path from the folder that was named, with slashes. For files that others refer to it is whatever leads
	// there from that folder.
	Name string
	Data []byte
	// Modified is when the file was written, if that is known.
	Modified time.Time
	// Problem says why Data is not there, "" = it is.
	Problem string
}

// Gather reads what an import may use: a file with those it refers to, or the files of a folder. home is what "~" stands
// for in such references. It reads, and changes nothing.
func Gather(at, home string) ([]ImportFile, error) {
	at, err := filepath.Abs(at)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(at)
	if err != nil {
		return nil, err
	}
	g := gatherer{root: filepath.Dir(at), home: home, seen: map[string]bool{}}
	base := filepath.Base(at)
	switch {
	case st.IsDir() && base == "configs":
		err = g.folder("configs")
	case st.IsDir():
		g.root = at
		if in, err := os.Stat(filepath.Join(at, "configs")); err == nil && in.IsDir() {
			err = g.program()
			return g.files, err
		}
		err = g.folder(".")
	case filepath.Base(g.root) == "configs":
		g.root = filepath.Dir(g.root)
		err = g.read("configs/" + base)
	default:
		err = g.read(base)
	}
	return g.files, err
}

type gatherer struct {
	root, home string
	seen       map[string]bool // names
	files      []ImportFile
	size       int
	inAuth     bool
}

// program reads the folder of a program that keeps its files in configs/, and leaves its source code alone.
func (g *gatherer) program() error {
	for _, name := range []string{"config.json", "provider_pools.json", "custom_models.json", "config.yaml"} {
		if err := g.read(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return g.folder("configs")
}

// folder reads the files of a folder, each under the folder's name.
func (g *gatherer) folder(name string) error {
	root := g.place(name)
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		below, relErr := filepath.Rel(root, p)
		if relErr != nil {
			return relErr
		}
		below = filepath.ToSlash(below)
		rel := path.Join(name, below)
		switch {
		case err != nil && p == root:
			return err
		case err != nil:
			g.files = append(g.files, ImportFile{Name: rel, Problem: "it cannot be read"})
			return nil
		case d.IsDir():
			if p != root && (skippedFolder(d.Name()) || strings.Count(below, "/") >= maxDepth) {
				return fs.SkipDir
			}
			return nil
		case !candidate(rel):
			return nil
		}
		if err := g.read(rel); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		g.files = append(g.files, ImportFile{Name: rel, Problem: "it is not there any more, or a link that leads nowhere"})
		return nil
	})
}

func skippedFolder(name string) bool {
	return name == "node_modules" || name == ".git" || name == "logs"
}

// candidate reports whether a file of a folder may hold something for an import, by its name.
func candidate(name string) bool {
	base := path.Base(name)
	switch strings.ToLower(path.Ext(base)) {
	case ".json", ".yaml", ".yml":
		return true
	}
	return base == "antigravity-oauth-token" || base == "pwd"
}

// read adds a file and those that it refers to. A file that is there and cannot be used is noted, not an error.
func (g *gatherer) read(name string) error {
	if g.seen[name] {
		return nil
	}
	g.seen[name] = true
	if len(g.files) >= MaxImportFiles {
		return apierror.Invalid("files", "there are more than %d files: name a folder with fewer, or single files", MaxImportFiles)
	}
	f := ImportFile{Name: name}
	var err error
	if err = f.readBounded(g.place(name)); err != nil {
		return err
	}
	if g.size += len(f.Data); g.size > MaxImport && !IsExport(f.Data) {
		return apierror.Invalid("files", "the files are larger than %d MiB together: name a folder with fewer, or single files", MaxImport>>20)
	}
	g.files = append(g.files, f)
	for _, ref := range references(f) {
		for _, c := range ref {
			if st, err := os.Stat(g.place(c)); err != nil || !st.Mode().IsRegular() {
				continue
			}
			if err := g.read(c); err != nil {
				return err
			}
			break
		}
	}
	return g.authFolder(f)
}

// authFolder reads the folder of logins that a settings file of CLIProxyAPI names.
func (g *gatherer) authFolder(f ImportFile) error {
	if !isYAML(f.Name) || g.inAuth {
		return nil
	}
	doc, err := readYAML(f.Data)
	if err != nil || doc.text("auth-dir") == "" {
		return nil // what is wrong with the file is said where it is looked at
	}
	g.inAuth = true // settings in there name no further folders
	for _, name := range places(f.Name, doc.text("auth-dir")) {
		if st, err := os.Stat(g.place(name)); err == nil && st.IsDir() {
			return g.folder(name)
		}
	}
	return nil
}

// place returns where a name is on this computer.
func (g *gatherer) place(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		return filepath.Join(g.home, filepath.FromSlash(rest))
	}
	if absolute(name) {
		return filepath.FromSlash(name)
	}
	return filepath.Join(g.root, filepath.FromSlash(name))
}

// readBounded reads the file at p, or says why it is of no use.
func (f *ImportFile) readBounded(p string) error {
	st, err := os.Stat(p)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		f.Problem = "it is no ordinary file"
		return nil
	}
	f.Modified = st.ModTime()
	in, err := os.Open(p)
	if errors.Is(err, fs.ErrPermission) {
		f.Problem = "you are not allowed to read it"
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, MaxExport+1))
	switch {
	case err != nil:
		f.Problem = "it cannot be read"
	case tooLarge(data):
		f.Problem = problemSize
	default:
		f.Data = data
	}
	return nil
}

const problemSize = "it is larger than any file that holds logins or settings"

func tooLarge(data []byte) bool {
	switch {
	case IsExport(data):
		return len(data) > MaxExport
	case isZip(data):
		return len(data) > MaxImport
	}
	return len(data) > MaxImportFile
}

func absolute(name string) bool {
	return strings.HasPrefix(name, "/") || len(name) > 2 && name[1] == ':' && name[2] == '/'
}

// refMember fits the members of AIClient-2-API's files that name other files (its version 3.1.8).
var refMember = regexp.MustCompile(`^[A-Z_]+_FILE_PATH$`)

var hashForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// references returns for each file that f refers to the names under which it may be, the most likely one first.
func references(f ImportFile) [][]string {
	var out [][]string
	dec := jsontext.NewDecoder(strings.NewReader(string(f.Data)), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for range 1 << 20 {
		tok, err := dec.ReadToken()
		if err != nil {
			return out // what is not whole is named where it is looked at
		}
		kind, n := dec.StackIndex(dec.StackDepth())
		if tok.Kind() != '"' || kind != '{' || n%2 != 0 {
			continue
		}
		switch member := path.Base(string(dec.StackPointer())); {
		case refMember.MatchString(member) && tok.String() != "":
			out = append(out, places(f.Name, tok.String()))
		case member == "clientIdHash" && hashForm.MatchString(tok.String()): // a login of Kiro and its registration
			out = append(out, []string{path.Join(path.Dir(f.Name), tok.String()+".json")})
		}
	}
	return out
}

// places are the names that a reference in a file may mean: from the file's folder, from its parent, from the folder above
// configs/. A path of another computer is tried from where its configs/ begins.
func places(from, ref string) []string {
	ref = strings.ReplaceAll(ref, `\`, "/")
	if strings.HasPrefix(ref, "~/") {
		return []string{"~/" + strings.TrimPrefix(path.Clean("/"+ref[2:]), "/")}
	}
	var out []string
	add := func(elem ...string) {
		if name := path.Join(elem...); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	dir := path.Dir(from)
	if absolute(ref) {
		add(ref)
	} else {
		add(dir, ref)
		add(path.Dir(dir), ref)
		if above, ok := aboveConfigs(dir); ok {
			add(above, ref)
		}
	}
	if i := strings.LastIndex("/"+ref, "/configs/"); i >= 0 {
		tail := ("/" + ref)[i+len("/configs/"):]
		add(dir, tail)
		if above, ok := aboveConfigs(dir); ok {
			add(above, "configs", tail)
		}
	}
	return out
}

// aboveConfigs returns the folder that a folder named configs is in.
func aboveConfigs(dir string) (string, bool) {
	for ; dir != "." && dir != "/" && dir != ""; dir = path.Dir(dir) {
		if path.Base(dir) == "configs" {
			return path.Dir(dir), true
		}
	}
	return "", false
}
