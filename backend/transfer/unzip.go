package transfer

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"patchbay/backend/apierror"
)

func isZip(data []byte) bool { return bytes.HasPrefix(data, []byte("PK\x03\x04")) }

// expand replaces the zips among the files by what is in them. What is wrong with one of them is its Problem.
func expand(files []ImportFile) ([]ImportFile, error) {
	if len(files) > MaxImportFiles {
		return nil, apierror.Invalid("files", "there are more than %d files", MaxImportFiles)
	}
	var out []ImportFile
	left := MaxImport
	for _, f := range files {
		switch {
		case f.Problem != "":
			f.Data = nil
		case tooLarge(f.Data):
			f.Data, f.Problem = nil, problemSize
		case isZip(f.Data):
			inside, err := unzip(f.Data, left, MaxImportFiles-len(out))
			if err != nil {
				f.Data, f.Problem = nil, err.Error()
				break
			}
			for _, in := range inside {
				left -= len(in.Data)
			}
			out = append(out, inside...)
			continue
		}
		left -= len(f.Data)
		out = append(out, f)
	}
	if left < 0 {
		return nil, apierror.Invalid("files", "the files are larger than %d MiB together", MaxImport>>20)
	}
	return out, nil
}

// unzip reads the files of a zip that an import may use. Nothing is written to a disk; a name that leads out of the zip
// makes all of it suspicious.
func unzip(data []byte, room, entries int) ([]ImportFile, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, errors.New("the zip is cut off or damaged; use another copy of it")
	}
	if len(z.File) > entries {
		return nil, errors.New("the zip holds too many files; pack only the folder with logins and settings")
	}
	var out []ImportFile
	for _, e := range z.File {
		name := strings.TrimSuffix(e.Name, "/")
		if strings.ContainsAny(name, "\\\x00") || strings.HasPrefix(name, "/") || !filepath.IsLocal(name) {
			return nil, errors.New("the zip is refused: it holds a name that leads out of it")
		}
		if e.Mode().IsDir() || hidden(name) || !candidate(name) && !strings.EqualFold(filepath.Ext(name), ".zip") {
			continue
		}
		f := ImportFile{Name: name, Modified: e.Modified}
		f.Data, f.Problem = entry(e, room)
		if room -= len(f.Data); room < 0 {
			return nil, errors.New("the zip unpacks to more than any folder of logins; pack only the folder with logins and settings")
		}
		out = append(out, f)
	}
	return out, nil
}

// hidden reports whether a name is in a folder of which nothing is wanted.
func hidden(name string) bool {
	parts := strings.Split(name, "/")
	for _, p := range parts[:len(parts)-1] {
		if skippedFolder(p) || p == "__MACOSX" {
			return true
		}
	}
	return false
}

// entry reads one file of a zip. What its head says of its size is not believed.
func entry(e *zip.File, room int) (data []byte, problem string) {
	switch {
	case e.Mode()&fs.ModeType != 0:
		return nil, "it is no ordinary file"
	case e.Flags&1 != 0:
		return nil, "it is encrypted; unpack the zip yourself and import the folder"
	}
	r, err := e.Open()
	if err != nil {
		return nil, "it is packed in a way that is not read here; unpack the zip yourself and import the folder"
	}
	defer r.Close()
	limit := min(room, MaxImportFile) + 1
	data, err = io.ReadAll(io.LimitReader(r, int64(limit)))
	switch {
	case err != nil:
		return nil, "it is damaged in the zip"
	case len(data) > MaxImportFile:
		return nil, problemSize
	case isZip(data):
		return nil, "a zip inside of a zip is not opened; unpack it and import it by itself"
	}
	return data, ""
}
