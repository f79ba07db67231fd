package update

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// FileName is the name of a package as its address gives it, "" if it names none that could be written.
func FileName(f File) string {
	u, err := url.Parse(f.URL)
	if err != nil {
		return ""
	}
	name := path.Base(u.Path)
	if name == "." || name == "/" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, `/\:*?"<>|`) {
		return ""
	}
	return name
}

// Download fetches a package into dir and returns its path. It has that name only once its size and hash have been found
// right; what is there already under the name and is right is kept, and what is not right is not overwritten.
func Download(ctx context.Context, client *http.Client, f File, dir string) (string, error) {
	name := FileName(f)
	if name == "" || !secure(f.URL) {
		return "", fmt.Errorf("%s cannot be downloaded", f.URL)
	}
	dst := filepath.Join(dir, name)
	if _, err := os.Lstat(dst); err == nil {
		if sum, err := FileHash(dst); err == nil && sum == f.SHA256 {
			return dst, nil
		}
		return "", fmt.Errorf("%s is there already and is something else: move it away first", dst)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", "Patchbay")
	own := *client
	own.CheckRedirect = staySecure
	resp, err := own.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", req.URL.Host, resp.Status)
	}
	return dst, keep(resp.Body, f, dst)
}

// staySecure lets the store of a publisher hand over to another host: the hash decides what is good. Plain http is not
// followed, so that nobody on the way learns what is fetched.
func staySecure(req *http.Request, via []*http.Request) error {
	if len(via) > 5 || !secure(req.URL.String()) || req.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
		return fmt.Errorf("%s leads to %s", via[0].URL.Host, elsewhere(req.URL))
	}
	return nil
}

// keep writes body under dst if it is what f promises.
func keep(body io.Reader, f File, dst string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(dst), ".patchbay-update-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(tmp, h), io.LimitReader(body, f.Size+1))
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	switch {
	case n > f.Size:
		return fmt.Errorf("the package is larger than the %d bytes that were promised", f.Size)
	case n < f.Size:
		return fmt.Errorf("the package ends after %d of %d bytes", n, f.Size)
	case fmt.Sprintf("%x", h.Sum(nil)) != f.SHA256:
		return errors.New("the package is not the one that was signed: its hash is another")
	}
	return os.Rename(tmp.Name(), dst)
}

// FileHash is the SHA-256 of a file in hex.
func FileHash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil)), err
}
